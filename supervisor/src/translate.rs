//! Records of a task become notifications of the wire contract, as JSON texts.
//!
//! Pure. Called by [`crate::writer`] for every record that it sends.

use std::borrow::Cow;

use bytes::Bytes;
use cc_link::{
    event::{ClaudeResult, ClaudeRetry, Completed, Dropped, Event, LimitReport},
    record::{Body, Output, Record, RecordError, decode_frame, frame_bytes},
};
use cc_protocol::{
    SERVER_MESSAGE_BYTES_LIMIT,
    notification::{
        LimitExceeded, Notification, OutputBatch, OutputDropped, OutputItem, Position,
        ProcessCompleted, ProcessError, ProcessOutput, ProcessStatus, TaskResult, TaskRetrying,
    },
};

use crate::limits;

/// Translates the records of one task.
#[derive(Clone, Debug)]
pub struct Translator {
    task_id: String,
    pid: i32,
    has_ended: bool,
}

impl Translator {
    /// Of a task whose main process has this pid.
    #[must_use]
    pub fn new(task_id: String, pid: i32) -> Self {
        Self { task_id, pid, has_ended: false }
    }

    /// Whether the terminal event was among what was translated.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The terminal event of a task whose log cannot tell it any more.
    #[must_use]
    pub fn terminal(&self, completed: &Completed, seq: u64) -> String {
        let position = Position { task_id: self.task_id.clone(), seq };
        to_text(&Notification::Completed(Box::new(process_completed(completed, position))))
    }

    /// The notifications of these whole records, in their order; lines together where `is_batching`.
    ///
    /// # Errors
    /// When a record cannot be read; those before it are in `texts`.
    pub fn translate(
        &mut self,
        frames: &Bytes,
        is_batching: bool,
        texts: &mut Vec<String>,
    ) -> Result<(), RecordError> {
        let mut batch = Batch::default();
        let outcome = self.translate_all(frames, is_batching, &mut batch, texts);
        texts.extend(batch.end(&self.task_id));
        outcome
    }

    fn translate_all(
        &mut self,
        frames: &Bytes,
        is_batching: bool,
        batch: &mut Batch,
        texts: &mut Vec<String>,
    ) -> Result<(), RecordError> {
        let mut offset = 0;
        while let Some(length) = frame_bytes(&frames[offset..])? {
            let record = decode_frame(frames.slice(offset..offset + length))?;
            offset += length;
            match record {
                Record { seq, body: Body::Output(output), .. } if is_batching => {
                    if !batch.has_room_for(&output) {
                        texts.extend(batch.end(&self.task_id));
                    }
                    batch.add(seq, output);
                }
                record => {
                    self.has_ended |= matches!(record.body, Body::Event(Event::Completed(_)));
                    texts.extend(batch.end(&self.task_id));
                    texts.extend(self.record(&record));
                }
            }
        }
        Ok(())
    }

    /// Says that records could not be read.
    #[must_use]
    pub fn lost(&self, bytes: u64, error: &str) -> String {
        let error = format!("{bytes} bytes of this task's log are missing: {error}");
        self.error(error)
    }

    fn record(&self, record: &Record) -> Option<String> {
        let position = Position { task_id: self.task_id.clone(), seq: record.seq };
        let notification = match &record.body {
            Body::Output(output) => return Some(to_text(&output_notification(output, position))),
            Body::Event(event) => self.event(event, position),
            Body::Notice(_) => return None,
        };
        Some(self.fit(notification, record.seq))
    }

    fn event<'a>(&self, event: &'a Event, position: Position) -> Notification<'a> {
        match event {
            Event::Started(started) => {
                Notification::Started(status("started", started.pid, position))
            }
            Event::Paused => Notification::Paused(status("paused", self.pid, position)),
            Event::Resumed => Notification::Resumed(status("resumed", self.pid, position)),
            Event::Canceled { reason: _ } => {
                Notification::Canceled(status("canceled", self.pid, position))
            }
            Event::OutputDropped(Dropped { lines, bytes }) => {
                Notification::OutputDropped(OutputDropped {
                    lines: *lines,
                    bytes: *bytes,
                    position,
                })
            }
            Event::ClaudeRetrying(retry) => Notification::TaskRetrying(retrying(retry, position)),
            Event::RateLimited(report) => Notification::RateLimited(limit(report, position)),
            Event::TokenLimited(report) => Notification::TokenLimited(limit(report, position)),
            Event::ClaudeResult(result) => {
                Notification::TaskResult(Box::new(task_result(result, position)))
            }
            Event::Completed(completed) => {
                Notification::Completed(Box::new(process_completed(completed, position)))
            }
        }
    }

    /// As JSON, and never over the limit: a long result is cut further, anything else is announced.
    fn fit(&self, mut notification: Notification<'_>, seq: u64) -> String {
        loop {
            let text = to_text(&notification);
            if text.len() <= SERVER_MESSAGE_BYTES_LIMIT {
                return text;
            }
            match &mut notification {
                Notification::TaskResult(result)
                    if result.result.as_ref().is_some_and(|text| !text.is_empty()) =>
                {
                    halve(result);
                }
                Notification::TaskResult(_)
                | Notification::Connected(_)
                | Notification::Started(_)
                | Notification::Output(_)
                | Notification::OutputBatch(_)
                | Notification::Paused(_)
                | Notification::Resumed(_)
                | Notification::Canceled(_)
                | Notification::Completed(_)
                | Notification::Error(_)
                | Notification::RateLimited(_)
                | Notification::TokenLimited(_)
                | Notification::OutputDropped(_)
                | Notification::TaskRetrying(_)
                | Notification::BatchProgress(_)
                | Notification::BatchCompleted(_) => {
                    return self.error(format!("event {seq} is too long to be sent"));
                }
            }
        }
    }

    fn error(&self, error: String) -> String {
        let task_id = Some(self.task_id.clone());
        to_text(&Notification::Error(ProcessError { error, task_id }))
    }
}

/// Lines that are sent together.
#[derive(Debug, Default)]
struct Batch {
    outputs: Vec<(u64, Output)>,
    data_bytes: usize,
}

impl Batch {
    fn has_room_for(&self, output: &Output) -> bool {
        self.outputs.is_empty()
            || (self.outputs.len() < limits::BATCH_ITEMS
                && self.data_bytes + output.data.len() <= limits::BATCH_DATA_BYTES)
    }

    fn add(&mut self, seq: u64, output: Output) {
        self.data_bytes += output.data.len();
        self.outputs.push((seq, output));
    }

    /// What was added, as one message; begins anew.
    fn end(&mut self, task_id: &str) -> Option<String> {
        self.data_bytes = 0;
        let outputs = std::mem::take(&mut self.outputs);
        if outputs.is_empty() {
            return None;
        }
        let items = outputs
            .iter()
            .map(|(seq, output)| OutputItem {
                seq: *seq,
                stream: Cow::Borrowed(output.stream.as_str()),
                data: String::from_utf8_lossy(&output.data),
                truncated: output.truncated,
                chunk_index: output.piece.map(|piece| piece.index),
                last_chunk: output.piece.map(|piece| piece.last),
            })
            .collect();
        let batch = OutputBatch { task_id: task_id.to_owned(), items };
        Some(to_text(&Notification::OutputBatch(batch)))
    }
}

/// A notification as it is sent.
#[must_use]
pub fn to_text(notification: &Notification<'_>) -> String {
    #[derive(serde::Serialize)]
    struct Envelope<'a, 'b> {
        jsonrpc: &'static str,
        #[serde(flatten)]
        notification: &'a Notification<'b>,
    }
    let jsonrpc = cc_protocol::envelope::VERSION;
    // All keys are strings; a failure here is excluded by the types.
    serde_json::to_string(&Envelope { jsonrpc, notification }).unwrap_or_default()
}

fn halve(result: &mut TaskResult) {
    if let Some(text) = &mut result.result {
        let mut cut = text.len() / 2;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
    }
    result.result_truncated = true;
}

fn output_notification(output: &Output, position: Position) -> Notification<'_> {
    Notification::Output(ProcessOutput {
        stream: Cow::Borrowed(output.stream.as_str()),
        data: String::from_utf8_lossy(&output.data),
        truncated: output.truncated,
        chunk_index: output.piece.map(|piece| piece.index),
        total_chunks: None,
        last_chunk: output.piece.map(|piece| piece.last),
        position,
    })
}

fn status(status: &'static str, pid: i32, position: Position) -> ProcessStatus {
    ProcessStatus {
        status: Cow::Borrowed(status),
        pid,
        pgid: pid,
        exit_code: None,
        error: None,
        position,
    }
}

fn process_completed(completed: &Completed, position: Position) -> ProcessCompleted {
    let status = if completed.exit_code == 0 { "completed" } else { "failed" };
    ProcessCompleted {
        status: Cow::Borrowed(status),
        pid: completed.pid,
        pgid: completed.pid,
        exit_code: completed.exit_code,
        error: completed.error.clone(),
        execution_time: completed.duration_ms as f64 / 1000.0,
        reason: completed.reason,
        verdict: completed.verdict,
        signal: completed.signal,
        duration_ms: completed.duration_ms,
        cpu_ms: completed.cpu_ms,
        max_rss_bytes: completed.max_rss_bytes,
        output: completed.output,
        killed_leftovers: completed.killed_leftovers,
        unkillable: completed.unkillable,
        position,
    }
}

fn task_result(result: &ClaudeResult, position: Position) -> TaskResult {
    let result = result.clone();
    TaskResult {
        is_error: result.is_error,
        result: result.result,
        result_truncated: result.result_truncated,
        api_error_status: result.api_error_status,
        claude_session_id: result.claude_session_id,
        num_turns: result.num_turns,
        total_cost_usd: result.total_cost_usd,
        usage: result.usage,
        model: result.model,
        terminal_reason: result.terminal_reason,
        subtype: result.subtype,
        position,
    }
}

fn retrying(retry: &ClaudeRetry, position: Position) -> TaskRetrying {
    TaskRetrying {
        attempt: retry.attempt,
        max_retries: retry.max_retries,
        retry_delay_ms: retry.retry_delay_ms,
        error_status: retry.error_status,
        error: retry.error.clone(),
        position,
    }
}

fn limit(report: &LimitReport, position: Position) -> LimitExceeded {
    LimitExceeded { message: report.message.clone(), resets_at: report.resets_at_s, position }
}

#[cfg(test)]
mod tests {
    use cc_link::record::{PIECE_BYTES_LIMIT, Piece, Stream};
    use serde_json::{Value, json};

    use super::*;

    fn translate(body: Body) -> Value {
        let mut frames = Vec::new();
        Record { seq: 3, time_ms: 1, body }.encode(&mut frames).unwrap();
        let mut texts = Vec::new();
        Translator::new("id".to_owned(), 42).translate(&frames.into(), false, &mut texts).unwrap();
        assert_eq!(texts.len(), 1);
        assert!(texts[0].len() <= SERVER_MESSAGE_BYTES_LIMIT, "{}", texts[0].len());
        serde_json::from_str(&texts[0]).unwrap()
    }

    #[test]
    fn a_line_of_output_has_the_fields_that_every_client_depends_on() {
        let output = Output {
            stream: Stream::Stderr,
            piece: None,
            truncated: false,
            data: Bytes::from_static(b"a\xffb\n"),
        };
        assert_eq!(
            translate(Body::Output(output)),
            json!({"jsonrpc": "2.0", "method": "process.output", "params": {
                "type": "stderr", "data": "a\u{fffd}b\n", "truncated": false, "chunk_index": null,
                "total_chunks": null, "task_id": "id", "seq": 3,
            }})
        );
    }

    #[test]
    fn no_piece_of_output_makes_a_message_over_the_limit_whatever_its_bytes() {
        for byte in [0u8, 0xff, b'"', b'x'] {
            let output = Output {
                stream: Stream::Stdout,
                piece: Some(Piece { index: 1, last: true }),
                truncated: true,
                data: vec![byte; PIECE_BYTES_LIMIT].into(),
            };
            let value = translate(Body::Output(output));
            assert_eq!(value["params"]["last_chunk"], true);
        }
    }

    #[test]
    fn lines_that_are_ready_together_come_together_and_in_order_and_never_over_the_limit() {
        let mut translator = Translator::new("id".to_owned(), 42);
        let mut frames = Vec::new();
        let line = |data: Vec<u8>| {
            Body::Output(Output {
                stream: Stream::Stdout,
                piece: None,
                truncated: false,
                data: data.into(),
            })
        };
        let mut bodies: Vec<Body> = (0..3).map(|_| line(b"short\n".to_vec())).collect();
        bodies.push(Body::Event(Event::Paused));
        bodies.extend((0..40).map(|_| line(vec![0; PIECE_BYTES_LIMIT])));
        bodies.extend((0..2 * limits::BATCH_ITEMS).map(|_| line(b"\n".to_vec())));
        let count = bodies.len() as u64;
        for (seq, body) in (1..).zip(bodies) {
            Record { seq, time_ms: 1, body }.encode(&mut frames).unwrap();
        }
        let mut texts = Vec::new();
        translator.translate(&frames.into(), true, &mut texts).unwrap();
        assert!(texts.iter().all(|text| text.len() <= SERVER_MESSAGE_BYTES_LIMIT));
        let messages: Vec<Value> =
            texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(messages[0]["params"]["items"].as_array().unwrap().len(), 3);
        assert_eq!(messages[1]["method"], "process.paused");
        let seqs: Vec<u64> = messages
            .iter()
            .flat_map(|message| match message["params"]["items"].as_array() {
                Some(items) => items.clone(),
                None => vec![message["params"].clone()],
            })
            .map(|item| item["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, (1..=count).collect::<Vec<_>>());
    }

    #[test]
    fn a_result_that_grows_over_the_limit_in_json_is_cut_and_says_so() {
        let result =
            ClaudeResult { result: Some("\u{1}".repeat(256 * 1024)), ..ClaudeResult::default() };
        let value = translate(Body::Event(Event::ClaudeResult(Box::new(result))));
        assert_eq!(value["params"]["result_truncated"], true);
        assert!(value["params"]["result"].as_str().unwrap().len() >= 64 * 1024);
    }

    #[test]
    fn pause_resume_and_cancel_carry_the_numbers_that_clients_read() {
        let value = translate(Body::Event(Event::Paused));
        assert_eq!(value["method"], "process.paused");
        assert_eq!(
            value["params"],
            json!({"status": "paused", "pid": 42, "pgid": 42, "exit_code": null, "error": null,
                   "task_id": "id", "seq": 3})
        );
    }
}
