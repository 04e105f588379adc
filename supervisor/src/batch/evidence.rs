//! How an attempt ended, from its log: what the state machine, the record and later tasks need to know of it.
//!
//! Reads records, live or from the file of a task that is over; nothing else. The log is the truth.

use bytes::Bytes;
use cc_batch::retry::{AttemptEnd, Class, Evidence, Never, Progress, UsageLimit};
use cc_claude::{StreamObserver, limit};
use cc_link::{
    event::{ClaudeResult, ClaudeRetry, Completed, Event, LimitReport, Verdict},
    record::{Body, Output, Piece, Stream, decode_frame, frame_bytes},
};

use super::zone;
use crate::limits;

/// How an attempt, or a hook, ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What the state machine goes by.
    pub attempt: AttemptEnd,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The terminal event; `None` where there is none, and never will be.
    pub completed: Option<Completed>,
    /// The last result line of a Claude task.
    pub result: Option<Box<ClaudeResult>>,
    /// What others may refer to, and what the task's row shows: a Claude task's answer, else what it printed on
    /// standard output, without its last newline.
    pub text: Option<String>,
    /// `text` is not all of it.
    pub text_truncated: bool,
    /// For people: what went wrong.
    pub error: Option<String>,
    /// The words of the limit that was met.
    pub limit: Option<String>,
}

impl End {
    /// Of what could not be started.
    #[must_use]
    pub fn not_started(error: String, at_ms: u64) -> Self {
        Self::bare(Verdict::SpawnFailed, Class::Never { cause: Never::SpawnFailed }, error, at_ms)
    }

    /// Of what was not started because nothing was left of it when results were filled in.
    #[must_use]
    pub fn emptied(problem: &str, at_ms: u64) -> Self {
        let error = format!("it was not started: {problem}");
        Self::bare(Verdict::Failed, Class::Never { cause: Never::Failed }, error, at_ms)
    }

    /// Of what was told to end before it began.
    #[must_use]
    pub fn canceled_before_start(at_ms: u64) -> Self {
        let error = "it was ended before it began".to_owned();
        Self::bare(Verdict::Canceled, Class::Never { cause: Never::Canceled }, error, at_ms)
    }

    /// Of what nobody knows anything about.
    #[must_use]
    pub fn lost(at_ms: u64) -> Self {
        let error = "its worker was lost: it may have had effects".to_owned();
        Self::bare(Verdict::WorkerDied, Class::Lost, error, at_ms)
    }

    fn bare(verdict: Verdict, class: Class, error: String, at_ms: u64) -> Self {
        Self {
            attempt: AttemptEnd { verdict, class, cost_usd: 0.0, has_result: false },
            at_ms,
            completed: None,
            result: None,
            text: None,
            text_truncated: false,
            error: Some(error),
            limit: None,
        }
    }
}

/// What a task's records say, as they come.
#[derive(Debug)]
pub struct Collector {
    result: Option<Box<ClaudeResult>>,
    last_retry: Option<ClaudeRetry>,
    report: Option<LimitReport>,
    completed: Option<Box<Completed>>,
    observer: StreamObserver,
    /// The beginning of its standard output.
    stdout: Vec<u8>,
    stdout_truncated: bool,
}

impl Collector {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            result: None,
            last_retry: None,
            report: None,
            completed: None,
            observer: StreamObserver::new(),
            stdout: Vec::new(),
            stdout_truncated: false,
        }
    }

    /// Takes whole records. True: the CLI reports among them that its credentials were refused, and that it
    /// tries again. What cannot be read is passed over.
    pub fn take(&mut self, frames: &Bytes) -> bool {
        let mut is_auth_refused = false;
        let mut offset = 0;
        while let Ok(Some(length)) = frame_bytes(&frames[offset..]) {
            let record = decode_frame(frames.slice(offset..offset + length));
            offset += length;
            match record.map(|record| record.body) {
                Ok(Body::Output(Output { stream, piece, truncated, data })) => {
                    self.output(stream, piece, truncated, &data);
                }
                Ok(Body::Lines(lines)) => {
                    for line in lines.iter() {
                        self.output(lines.stream(), None, false, line);
                    }
                }
                Ok(Body::Event(event)) => is_auth_refused |= self.event(event),
                Ok(Body::Notice(_)) | Err(_) => {}
            }
        }
        is_auth_refused
    }

    fn output(&mut self, stream: Stream, piece: Option<Piece>, truncated: bool, data: &[u8]) {
        match stream {
            Stream::Stderr => return,
            Stream::Stdout => {}
        }
        let (starts_line, ends_line) =
            piece.map_or((true, true), |piece| (piece.index == 0, piece.last));
        // Only what it says of tools: everything else is in the events.
        let ignore = &mut |_| {};
        self.observer.fragment(data, starts_line, ends_line, truncated, ignore);
        let room = limits::BATCH_RESULT_BYTES - self.stdout.len();
        let taken = data.len().min(room);
        self.stdout.extend_from_slice(&data[..taken]);
        self.stdout_truncated |= truncated || taken < data.len();
    }

    fn event(&mut self, event: Event) -> bool {
        match event {
            Event::ClaudeRetrying(retry) => {
                let refusal = cc_claude::Refusal::of_retry(&retry);
                self.last_retry = Some(retry);
                return refusal == Some(cc_claude::Refusal::Auth);
            }
            Event::RateLimited(report) => self.report = Some(report),
            Event::ClaudeResult(result) => self.result = Some(result),
            Event::Completed(completed) => self.completed = Some(completed),
            Event::OutputDropped(_) => self.stdout_truncated = true,
            Event::Started(_)
            | Event::Paused
            | Event::Resumed
            | Event::Canceled { .. }
            | Event::TokenLimited(_) => {}
        }
        false
    }

    /// What all this means. `completed` stands in where the records have no terminal event.
    #[must_use]
    pub fn end(mut self, completed: Option<Completed>, at_ms: u64) -> End {
        let own = self.completed.take().map(|completed| *completed);
        let Some(completed) = own.or(completed) else { return End::lost(at_ms) };
        let has_succeeded = completed.verdict == Verdict::Succeeded;
        let limit = if has_succeeded { None } else { self.usage_limit(at_ms) };
        let summary = self.observer.summary();
        let progress = match (summary.is_stream, summary.tool_may_have_run) {
            (false, _) => Progress::NotBegun,
            (true, false) => Progress::NoTool,
            (true, true) => Progress::Tool,
        };
        let attempt = AttemptEnd::of(&Evidence {
            completed: &completed,
            result: self.result.as_deref(),
            last_retry: self.last_retry.as_ref(),
            usage_limit: limit,
            progress,
        });
        let is_limit = matches!(attempt.class, Class::Limit { .. });
        let words = is_limit.then(|| self.limit_words());
        let error = if has_succeeded { None } else { self.error(&completed) };
        let (text, text_truncated) = self.take_text();
        let completed = Some(completed);
        let result = self.result;
        End { attempt, at_ms, completed, result, text, text_truncated, error, limit: words }
    }

    fn usage_limit(&self, now_ms: u64) -> Option<UsageLimit> {
        let zone = zone::of_machine();
        let found =
            limit::usage_limit(self.report.as_ref(), self.result.as_deref(), now_ms / 1000, zone)?;
        let ends_at_ms = found.ends_at_s.map(|seconds| seconds.saturating_mul(1000));
        Some(UsageLimit { ends_at_ms })
    }

    /// The CLI's own, where it has any.
    fn limit_words(&self) -> String {
        let said = self.result.as_deref().filter(|result| result.is_error);
        let said = said.and_then(|result| result.result.as_deref());
        let words = said.or(self.report.as_ref().map(|report| report.message.as_str()));
        let words =
            words.unwrap_or("a usage limit").split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().take(limits::BATCH_LIMIT_WORDS_CHARS).collect()
    }

    /// The server's own words, else the CLI's.
    fn error(&self, completed: &Completed) -> Option<String> {
        let said = self.result.as_deref().filter(|result| result.is_error);
        let said = said.and_then(|result| result.result.as_deref());
        let shortened = said.map(|text| text.chars().take(limits::BATCH_ERROR_CHARS).collect());
        completed.error.clone().or(shortened)
    }

    /// What is [`End::text`], and whether it is not all of it.
    pub fn into_text(mut self) -> (Option<String>, bool) {
        self.take_text()
    }

    /// Of a program that is no agent: what follows adds nothing to its text.
    pub fn has_all_of_a_programs_text(&self) -> bool {
        self.stdout_truncated && self.stdout.len() >= limits::BATCH_RESULT_BYTES
    }

    fn take_text(&mut self) -> (Option<String>, bool) {
        if let Some(result) = &self.result {
            return (result.result.clone(), result.result_truncated);
        }
        let mut text = String::from_utf8_lossy(&self.stdout).into_owned();
        if text.ends_with('\n') {
            text.pop();
        }
        // Bytes that are no text take more room as text, and control characters as JSON.
        let (text, was_cut) = cc_claude::cut_answer(text);
        (Some(text), self.stdout_truncated || was_cut)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use cc_batch::retry::Transient;
    use cc_link::{
        event::{EndReason, OutputCounts},
        record::Record,
    };

    use super::*;

    pub(in crate::batch) fn completed(verdict: Verdict, exit_code: i32) -> Completed {
        Completed {
            pid: 1,
            reason: EndReason::Exit,
            verdict,
            exit_code,
            signal: None,
            error: None,
            duration_ms: 10,
            cpu_ms: 0,
            max_rss_bytes: 0,
            output: OutputCounts::default(),
            killed_leftovers: 1,
            unkillable: 0,
            warnings: Vec::new(),
            claude: None,
        }
    }

    fn frames(bodies: Vec<Body>) -> Bytes {
        let mut bytes = Vec::new();
        for (seq, body) in (1..).zip(bodies) {
            Record { seq, time_ms: 0, body }.encode(&mut bytes).unwrap();
        }
        bytes.into()
    }

    fn line(text: &str) -> Body {
        let data = Bytes::copy_from_slice(text.as_bytes());
        Body::Output(Output { stream: Stream::Stdout, piece: None, truncated: false, data })
    }

    fn end_of(bodies: Vec<Body>, completed: Completed) -> End {
        let mut collector = Collector::new();
        collector.take(&frames(bodies));
        collector.end(Some(completed), 1_000)
    }

    #[test]
    fn a_refusal_of_the_credentials_is_told_when_it_comes_and_another_retry_is_not() {
        let retry = |error_status| {
            Body::Event(Event::ClaudeRetrying(ClaudeRetry {
                attempt: 1,
                max_retries: 10,
                retry_delay_ms: 500,
                error_status: Some(error_status),
                error: None,
            }))
        };
        let mut collector = Collector::new();
        assert!(!collector.take(&frames(vec![retry(529)])));
        assert!(collector.take(&frames(vec![retry(401), retry(529)])));
    }

    #[test]
    fn the_text_of_another_program_is_its_standard_output_without_the_last_newline() {
        let end = end_of(vec![line("a\n"), line("b\n")], completed(Verdict::Succeeded, 0));
        assert_eq!((end.text.as_deref(), end.text_truncated), (Some("a\nb"), false));
        assert!(end.attempt.has_result);
        let long = "x".repeat(limits::BATCH_RESULT_BYTES);
        let pieces =
            long.as_bytes().chunks(60_000).map(|piece| line(std::str::from_utf8(piece).unwrap()));
        let end = end_of(pieces.chain([line("y")]).collect(), completed(Verdict::Succeeded, 0));
        assert_eq!(end.text.unwrap().len(), limits::BATCH_RESULT_BYTES);
        assert!(end.text_truncated);
    }

    #[test]
    fn a_text_fits_a_message_whatever_it_is_made_of() {
        for byte in ["\u{1}", "\"", "x"] {
            let bytes = byte.repeat(limits::BATCH_RESULT_BYTES);
            let pieces = bytes.as_bytes().chunks(60_000);
            let pieces = pieces.map(|piece| line(std::str::from_utf8(piece).unwrap()));
            let end = end_of(pieces.collect(), completed(Verdict::Succeeded, 0));
            let text = end.text.unwrap();
            assert!(serde_json::to_string(&text).unwrap().len() <= 512 * 1024 + 2);
            assert_eq!(end.text_truncated, text.len() < bytes.len());
            assert_eq!(end.text_truncated, byte == "\u{1}");
        }
    }

    #[test]
    fn a_stream_without_a_result_is_tried_again_only_if_no_tool_ran() {
        let init = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
        let tool = r#"{"type":"user","message":{"content":[{"type":"tool_result"}]}}"#;
        let class = |lines: &[&str]| {
            let lines = lines.iter().map(|text| line(&format!("{text}\n"))).collect();
            end_of(lines, completed(Verdict::NoResult, 0)).attempt.class
        };
        assert_eq!(class(&[init]), Class::Transient { cause: Transient::NoResult });
        assert_eq!(class(&[init, tool]), Class::Never { cause: Never::NoResultAfterTool });
    }

    #[test]
    fn a_limit_is_kept_in_the_words_of_the_cli() {
        let result = ClaudeResult {
            is_error: true,
            result: Some("You've hit your\nsession limit · resets in 5 minutes".to_owned()),
            ..ClaudeResult::default()
        };
        let bodies = vec![Body::Event(Event::ClaudeResult(Box::new(result)))];
        let end = end_of(bodies, completed(Verdict::Failed, 1));
        assert!(matches!(end.attempt.class, Class::Limit { ends_at_ms: Some(_) }));
        assert_eq!(
            end.limit.as_deref(),
            Some("You've hit your session limit · resets in 5 minutes")
        );
    }

    #[test]
    fn a_log_without_an_end_is_a_lost_task() {
        let end = Collector::new().end(None, 7);
        assert_eq!((end.attempt.class, end.at_ms), (Class::Lost, 7));
        assert!(end.error.unwrap().contains("may have had effects"));
    }
}
