//! Records of a task become notifications of the wire contract, as JSON.
//!
//! Pure. Called by [`crate::delivery::writer`] for all records that it sends, and by sessions for single notifications.
//! Output, which is nearly all, is written by [`crate::delivery::output_json`].

use std::borrow::Cow;

use bytes::Buf as _;
use cc_events::{ClaudeResult, ClaudeRetry, Completed, Dropped, Event, LimitReport};
use cc_link::record::{Body, Output, Record, RecordError};
use cc_protocol::{
    SERVER_MESSAGE_BYTES_LIMIT,
    notification::{
        LimitExceeded, Notification, OutputDropped, Position, ProcessCompleted, ProcessError,
        ProcessStatus, TaskResult, TaskRetrying,
    },
};

use crate::{
    config::limits,
    delivery::{
        output_json::{Line, OutputJson},
        pending::{PendingLines, PendingRecords},
        socket::MessageBuffer,
    },
};

/// Translates the records of one task.
#[derive(Clone, Debug)]
pub(crate) struct Translator {
    task_id: String,
    pid: i32,
    /// The client has everything up to here.
    after_seq: u64,
    has_ended: bool,
    output_json: OutputJson,
}

impl Translator {
    /// `pid` is the task's main process. Lines up to `after_seq` are left out.
    #[must_use]
    pub(crate) fn new(task_id: String, pid: i32, after_seq: u64) -> Self {
        let output_json = OutputJson::new(&task_id);
        Self { task_id, pid, after_seq, has_ended: false, output_json }
    }

    /// The number of the last event that was translated.
    #[must_use]
    pub(crate) fn after_seq(&self) -> u64 {
        self.after_seq
    }

    /// What follows this event is to be translated again.
    pub(crate) fn go_back(&mut self, after_seq: u64) {
        self.has_ended &= after_seq >= self.after_seq;
        self.after_seq = after_seq;
    }

    /// Whether the terminal event was translated.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The terminal event of a task whose log has lost it.
    #[must_use]
    pub(crate) fn terminal(&self, completed: &Completed, seq: u64) -> String {
        let position = Position { task_id: self.task_id.clone(), seq };
        to_text(&Notification::Completed(Box::new(process_completed(completed, position))))
    }

    /// Takes records off `pending` and adds their notifications to `messages` in order, lines together where
    /// `is_batching`. Returns when no record is left or there are enough messages to send.
    ///
    /// # Errors
    /// When a record cannot be read; those before it are in `messages`.
    pub(crate) fn translate(
        &mut self,
        pending: &mut PendingRecords,
        is_batching: bool,
        messages: &mut MessageBuffer,
    ) -> Result<(), RecordError> {
        let mut batch = is_batching.then(Batch::default);
        messages.reserve(limits::TEXTS_BYTES.min(pending.bytes()));
        let outcome = self.translate_some(pending, &mut batch, messages);
        self.end_batch(&mut batch, messages);
        outcome
    }

    /// As [`Translator::translate`]. A record that cannot be read is dropped with all that follow it, and a notification
    /// says so.
    pub(crate) fn translate_or_report(
        &mut self,
        pending: &mut PendingRecords,
        is_batching: bool,
        messages: &mut MessageBuffer,
    ) {
        if let Err(error) = self.translate(pending, is_batching, messages) {
            let lost = std::mem::take(pending);
            messages.push(&self.lost(lost.bytes() as u64, &error.to_string()), self.after_seq);
        }
    }

    fn translate_some(
        &mut self,
        pending: &mut PendingRecords,
        batch: &mut Option<Batch>,
        messages: &mut MessageBuffer,
    ) -> Result<(), RecordError> {
        while messages.bytes() < limits::TEXTS_BYTES {
            if let Some(lines) = &mut pending.lines {
                self.lines(lines, batch, messages);
                if lines.data.is_empty() {
                    pending.lines = None;
                }
                continue;
            }
            let Some(Record { seq, body, .. }) = pending.next_record()? else { break };
            match body {
                // Read again, after a client that had stopped reading goes on.
                Body::Output(_) | Body::Event(_) if seq <= self.after_seq => {}
                Body::Lines(lines) => {
                    let (stream, data) = (lines.stream(), lines.data().clone());
                    pending.lines = Some(PendingLines { seq, stream, data });
                }
                Body::Output(Output { stream, piece, truncated, data }) => {
                    let line = Line { seq, stream, piece, truncated, data: &data };
                    self.line(&line, batch, messages);
                    self.after_seq = seq;
                }
                Body::Event(event) => {
                    self.end_batch(batch, messages);
                    self.after_seq = seq;
                    self.has_ended |= matches!(event, Event::Completed(_));
                    let position = Position { task_id: self.task_id.clone(), seq };
                    messages.push(&self.fit(self.event(&event, position), seq), seq);
                }
                Body::Notice(_) => {}
            }
        }
        Ok(())
    }

    /// Adds lines until none is left or there are enough messages to send.
    fn lines(
        &mut self,
        rest: &mut PendingLines,
        batch: &mut Option<Batch>,
        messages: &mut MessageBuffer,
    ) {
        let PendingLines { seq, stream, data } = rest;
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', data) {
            if *seq > self.after_seq {
                let data = &data[start..=newline];
                let line = Line { seq: *seq, stream: *stream, piece: None, truncated: false, data };
                self.line(&line, batch, messages);
                self.after_seq = *seq;
            }
            start = newline + 1;
            *seq = seq.saturating_add(1);
            if messages.bytes() >= limits::TEXTS_BYTES {
                break;
            }
        }
        // Every line ends with a newline. Without one no line can be sent.
        data.advance(if start == 0 { data.len() } else { start });
    }

    fn line(&self, line: &Line<'_>, batch: &mut Option<Batch>, messages: &mut MessageBuffer) {
        if batch.as_ref().is_some_and(|batch| !batch.has_room_for(line)) {
            self.end_batch(batch, messages);
        }
        let Some(batch) = batch else {
            self.output_json.message(line, messages);
            return;
        };
        let is_first = batch.items == 0;
        if is_first {
            self.output_json.begin_batch(messages);
        }
        self.output_json.item(line, is_first, messages);
        batch.items += 1;
        batch.data_bytes += line.data.len();
    }

    /// Completes the message of the batch if it holds anything, and empties the batch.
    fn end_batch(&self, batch: &mut Option<Batch>, messages: &mut MessageBuffer) {
        if let Some(batch) = batch
            && std::mem::take(batch).items > 0
        {
            self.output_json.end_batch(messages, self.after_seq);
        }
    }

    /// A notification that records could not be read.
    #[must_use]
    pub(crate) fn lost(&self, bytes: u64, error: &str) -> String {
        let error = format!("{bytes} bytes of this task's log are missing: {error}");
        self.error(error)
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

    /// The notification as JSON, never over the limit: a long result is cut further; for anything else an error is sent.
    fn fit(&self, mut notification: Notification<'_>, seq: u64) -> String {
        loop {
            let text = to_text(&notification);
            if text.len() <= SERVER_MESSAGE_BYTES_LIMIT {
                return text;
            }
            match &mut notification {
                Notification::TaskResult(result)
                    if result.claude.result.as_ref().is_some_and(|text| !text.is_empty()) =>
                {
                    halve(&mut result.claude);
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
                | Notification::BatchCompleted(_)
                | Notification::Alert(_) => {
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

/// The size of the batch message that is being written.
#[derive(Debug, Default)]
struct Batch {
    items: usize,
    data_bytes: usize,
}

impl Batch {
    fn has_room_for(&self, line: &Line<'_>) -> bool {
        self.items == 0
            || (self.items < limits::BATCH_ITEMS
                && self.data_bytes + line.data.len() <= limits::BATCH_DATA_BYTES)
    }
}

/// The JSON-RPC message of a notification.
#[must_use]
pub(crate) fn to_text(notification: &Notification<'_>) -> String {
    #[derive(serde::Serialize)]
    struct Envelope<'a, 'b> {
        jsonrpc: &'static str,
        #[serde(flatten)]
        notification: &'a Notification<'b>,
    }
    let jsonrpc = cc_protocol::envelope::VERSION;
    // All keys are strings: the types exclude a failure.
    serde_json::to_string(&Envelope { jsonrpc, notification }).unwrap_or_default()
}

fn halve(result: &mut ClaudeResult) {
    if let Some(text) = &mut result.result {
        let mut cut = text.len() / 2;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
    }
    result.result_truncated = true;
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
        warnings: completed.warnings.clone(),
        claude: completed.claude.clone(),
        position,
    }
}

fn task_result(result: &ClaudeResult, position: Position) -> TaskResult {
    TaskResult { claude: result.clone(), position }
}

fn retrying(retry: &ClaudeRetry, position: Position) -> TaskRetrying {
    TaskRetrying { retry: retry.clone(), position }
}

fn limit(report: &LimitReport, position: Position) -> LimitExceeded {
    LimitExceeded { message: report.message.clone(), resets_at: report.resets_at_s, position }
}

#[cfg(test)]
mod tests;
