//! How an attempt ended, from its log: what the state machine, the record and later tasks need to know of it.
//!
//! Reads records, live or from the file of a task that is over; nothing else. The log is the truth.

use bytes::Bytes;
use cc_batch::{
    Scope,
    limits::AUTH_REFUSALS_LIMIT,
    retry::{AttemptEnd, Class, DeadEnd, Evidence, Never, ToolUse, UsageLimit, Want},
};
use cc_claude::{Refusal, StreamObserver, limit};
use cc_events::{
    ClaudeResult, ClaudeRetry, Completed, EndReason, Event, LimitReport, SpawnFailureKind, Verdict,
    Warning,
};
use cc_link::record::{Body, Output, Piece, Stream, decode_frame, frame_bytes};

use crate::batch::{
    last_words::{Tails, last_line, last_words},
    money::{Bill, Sums},
    time_zone,
};
use crate::config::limits;

/// By which a shell and env(1) say that a program cannot be executed, or is not there.
const CANNOT_EXECUTE: [i32; 2] = [126, 127];
/// By which Node.js says that the script it was to run, or a part of it, is not there.
const MODULE_GONE: &str = "MODULE_NOT_FOUND";

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
    /// Its last words on standard output.
    pub stdout_tail: Option<String>,
    /// Its last words on standard error.
    pub stderr_tail: Option<String>,
    /// The conversation of a Claude task, also of one that was ended before its result.
    pub claude_session_id: Option<String>,
    /// Whom that limit concerns.
    pub limit_scope: Scope,
    /// What stands in the way of every task of the account, or of the model.
    pub dead_end: Option<cc_claude::DeadEnd>,
    /// What it has cost, as soon as that is counted.
    pub bill: Option<Bill>,
}

impl End {
    /// What a person should know of it beside its verdict.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.completed.as_ref().map_or(&[], |completed| &completed.warnings)
    }

    /// What its start lacked. An agent's program may be there and be a script that starts another one; where that
    /// cannot be executed, a shell and env(1) say so by their exit code.
    #[must_use]
    pub fn lacking(&self) -> Option<SpawnFailureKind> {
        let completed = self.completed.as_ref()?;
        completed.spawn_failure.or_else(|| {
            let has_not_begun = self.attempt.verdict == Verdict::NoResult
                && self.attempt.class == Class::Never { cause: Never::Arguments };
            let is_at_once = completed.duration_ms <= limits::AGENT_GONE_MS;
            let is_gone = CANNOT_EXECUTE.contains(&completed.exit_code)
                || self.stderr_tail.as_deref().is_some_and(|tail| tail.contains(MODULE_GONE));
            (has_not_begun && is_at_once && is_gone).then_some(SpawnFailureKind::Program)
        })
    }

    /// An agent has begun, and nobody said what it has cost.
    #[must_use]
    pub fn is_cost_unknown(&self) -> bool {
        let sums = match (&self.bill, &self.result) {
            (Some(bill), _) => Some(bill.sums),
            (None, Some(result)) => Some(Sums::of_result(result)),
            (None, None) => None,
        };
        // It tells its conversation before it asks the API for the first time.
        let has_begun = self.result.is_some() || self.claude_session_id.is_some();
        has_begun && sums.is_none_or(|sums| sums.cost_usd.is_none())
    }

    /// Makes a success with warnings a failure: the plan is strict.
    pub fn fail_on_warnings(&mut self) {
        if self.attempt.verdict != Verdict::Succeeded || self.warnings().is_empty() {
            return;
        }
        let words: Vec<&str> =
            self.warnings().iter().map(|warning| warning.message.as_str()).collect();
        let error =
            format!("it succeeded with warnings, and the batch is strict: {}", words.join("; "));
        self.error = Some(shortened(&error));
        self.attempt.verdict = Verdict::Failed;
        self.attempt.class = Class::Never { cause: Never::Failed };
        self.attempt.has_result = false;
    }

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
            attempt: AttemptEnd {
                verdict,
                class,
                cost_usd: 0.0,
                has_result: false,
                sameness: None,
            },
            at_ms,
            completed: None,
            result: None,
            text: None,
            text_truncated: false,
            error: Some(error),
            limit: None,
            stdout_tail: None,
            stderr_tail: None,
            claude_session_id: None,
            limit_scope: None,
            dead_end: None,
            bill: None,
        }
    }
}

/// What a task's records say, as they come.
#[derive(Debug)]
pub struct Collector {
    result: Option<Box<ClaudeResult>>,
    last_retry: Option<ClaudeRetry>,
    /// How many of the last retries, without anything else between, were for refused credentials.
    auth_refusals: u32,
    report: Option<LimitReport>,
    /// `report` is a usage limit, for whom.
    suspected: Option<Scope>,
    completed: Option<Box<Completed>>,
    observer: StreamObserver,
    /// The beginning of its standard output.
    stdout: Vec<u8>,
    stdout_truncated: bool,
    tails: Tails,
}

impl Collector {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            result: None,
            last_retry: None,
            auth_refusals: 0,
            report: None,
            suspected: None,
            completed: None,
            observer: StreamObserver::new(),
            stdout: Vec::new(),
            stdout_truncated: false,
            tails: Tails::default(),
        }
    }

    /// Takes whole records. What cannot be read is passed over.
    pub fn take(&mut self, frames: &Bytes) {
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
                Ok(Body::Event(event)) => self.event(event),
                Ok(Body::Notice(_)) | Err(_) => {}
            }
        }
    }

    /// The CLI has reported that its credentials were refused, so often in a row that it will not get over it.
    #[must_use]
    pub fn is_auth_refused(&self) -> bool {
        self.auth_refusals >= AUTH_REFUSALS_LIMIT
    }

    /// Whom a usage limit concerns that was reported, and after which nothing was answered so far.
    #[must_use]
    pub fn suspected_limit(&self) -> Option<&Scope> {
        self.suspected.as_ref()
    }

    fn output(&mut self, stream: Stream, piece: Option<Piece>, truncated: bool, data: &[u8]) {
        match stream {
            Stream::Stderr => return self.tails.stderr(data),
            Stream::Stdout => {}
        }
        let (starts_line, ends_line) =
            piece.map_or((true, true), |piece| (piece.index == 0, piece.last));
        // Only what it says of tools: everything else is in the events.
        let ignore = &mut |_| {};
        self.observer.fragment(data, starts_line, ends_line, truncated, ignore);
        self.tails.stdout(data, starts_line, ends_line);
        if self.observer.refusal().is_none() {
            self.got_over();
        }
        let room = limits::BATCH_RESULT_BYTES - self.stdout.len();
        let taken = data.len().min(room);
        self.stdout.extend_from_slice(&data[..taken]);
        self.stdout_truncated |= truncated || taken < data.len();
    }

    /// What was refused before is granted: it is not the reason of whatever comes.
    fn got_over(&mut self) {
        self.auth_refusals = 0;
        self.suspected = None;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ClaudeRetrying(retry) => {
                self.auth_refusals = match Refusal::of_retry(&retry) {
                    Some(Refusal::Auth) => self.auth_refusals.saturating_add(1),
                    Some(Refusal::RateLimit | Refusal::Account) | None => 0,
                };
                self.last_retry = Some(retry);
            }
            Event::RateLimited(report) => {
                // What time does not lift is seen when the task has ended.
                let found = limit::usage_limit(Some(&report), None, 0, time_zone::of_machine());
                self.suspected =
                    found.map(|limit| limit.model).filter(|_| report.blocked_by.is_none());
                self.report = Some(report);
            }
            Event::ClaudeResult(result) => self.result = Some(result),
            Event::Completed(completed) => self.completed = Some(completed),
            Event::OutputDropped(_) => self.stdout_truncated = true,
            Event::Started(_)
            | Event::Paused
            | Event::Resumed
            | Event::Canceled { .. }
            | Event::TokenLimited(_) => {}
        }
    }

    /// What all this means. `completed` stands in where the records have no terminal event.
    #[must_use]
    pub fn end(mut self, completed: Option<Completed>, at_ms: u64) -> End {
        let own = self.completed.take().map(|completed| *completed);
        let Some(completed) = own.or(completed) else { return End::lost(at_ms) };
        let has_succeeded = completed.verdict == Verdict::Succeeded;
        let summary = self.observer.summary();
        // Something was answered after it.
        if summary.is_stream && summary.refusal.is_none() {
            self.report = None;
        }
        let limit = if has_succeeded { None } else { self.usage_limit(at_ms) };
        // A limit that names its end is over then, whatever else would lift it.
        let has_end = limit.as_ref().is_some_and(|(limit, _)| limit.ends_at_ms.is_some());
        let dead_end = if has_succeeded { None } else { self.dead_end() };
        let dead_end = dead_end.filter(|dead_end| !has_end || dead_end.outlasts_limits());
        let tool_use = match (summary.is_stream, summary.tool_may_have_run) {
            (false, _) => ToolUse::NotBegun,
            (true, false) => ToolUse::NoTool,
            (true, true) => ToolUse::Tool,
        };
        let attempt = AttemptEnd::of(&Evidence {
            completed: &completed,
            result: self.result.as_deref(),
            last_retry: self.last_retry.as_ref(),
            usage_limit: limit.as_ref().map(|(limit, _)| *limit),
            dead_end: dead_end.map(|dead_end| match dead_end.is_of_account() {
                true => DeadEnd::Account,
                false if dead_end == cc_claude::DeadEnd::LongContext => DeadEnd::LongContext,
                false => DeadEnd::Model,
            }),
            want: match completed.spawn_failure {
                Some(SpawnFailureKind::Means) => Some(Want::Means),
                Some(SpawnFailureKind::Program | SpawnFailureKind::Folder) | None => None,
            },
            tool_use,
        });
        let is_limit = matches!(attempt.class, Class::Limit { .. });
        let words = is_limit.then(|| self.limit_words());
        let stdout_tail = self.stdout_tail();
        let stderr_tail = self.tails.stderr_tail();
        let error = if has_succeeded {
            None
        } else {
            self.error(&completed, stdout_tail.as_deref(), stderr_tail.as_deref())
        };
        let claude_session_id = self.claude_session_id(&completed);
        let error = match dead_end {
            Some(dead_end) => Some(with_advice(error, dead_end)),
            None => error,
        };
        let (text, text_truncated) = self.take_text();
        End {
            attempt,
            at_ms,
            completed: Some(completed),
            result: self.result,
            text,
            text_truncated,
            error,
            limit: words,
            stdout_tail,
            stderr_tail,
            claude_session_id,
            limit_scope: limit.and_then(|(_, scope)| scope),
            dead_end,
            bill: None,
        }
    }

    /// What a person wants to read of standard output: of a Claude stream what it says, not the stream.
    fn stdout_tail(&self) -> Option<String> {
        let is_stream = self.result.is_some() || self.observer.summary().is_stream;
        let errors = self.result.as_ref().map(|result| result.errors.join("\n"));
        let answer = self.result.as_ref().and_then(|result| result.result.clone());
        let is_something = |text: &String| !text.trim().is_empty();
        let said = answer.filter(is_something).or_else(|| errors.filter(is_something));
        let said = said.or_else(|| self.observer.summary().last_text);
        self.tails.stdout_tail(is_stream, said.as_deref())
    }

    /// As its result, its worker or, where that is an older one, its stream has it.
    fn claude_session_id(&self, completed: &Completed) -> Option<String> {
        let of_result = self.result.as_ref().and_then(|result| result.claude_session_id.clone());
        let of_worker = || completed.claude.as_ref()?.session_id.clone();
        of_result.or_else(of_worker).or_else(|| self.observer.summary().claude_session_id.clone())
    }

    fn dead_end(&self) -> Option<cc_claude::DeadEnd> {
        cc_claude::DeadEnd::of(self.report.as_ref(), self.result.as_deref())
    }

    fn usage_limit(&self, now_ms: u64) -> Option<(UsageLimit, Scope)> {
        let zone = time_zone::of_machine();
        let found =
            limit::usage_limit(self.report.as_ref(), self.result.as_deref(), now_ms / 1000, zone)?;
        let ends_at_ms = found.ends_at_s.map(|seconds| seconds.saturating_mul(1000));
        Some((UsageLimit { ends_at_ms }, found.model))
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

    /// What went wrong: the server's own words, else the CLI's, else what the attempt said last.
    fn error(
        &self,
        completed: &Completed,
        stdout_tail: Option<&str>,
        stderr_tail: Option<&str>,
    ) -> Option<String> {
        let said = self.result.as_deref().and_then(words_of_error);
        // Why it did not exit after a bad result says less than the result.
        let is_by_result = completed.reason == EndReason::Lingered && said.is_some();
        if let Some(error) = completed.error.as_ref().filter(|_| !is_by_result) {
            return Some(error.clone());
        }
        let of_warnings = || {
            let words = completed.warnings.iter().map(|warning| warning.message.as_str());
            let words = words.collect::<Vec<_>>().join("; ");
            (!words.is_empty()).then_some(words)
        };
        let is_without_result = completed.verdict == Verdict::NoResult;
        let cut =
            "its output ends in the middle of a line of the stream, perhaps that of its result";
        let of_stdout = || {
            let line = stdout_tail.filter(|_| is_without_result).and_then(last_line);
            line.and_then(end_of_line)
        };
        let error = said
            .or_else(of_warnings)
            .or_else(|| stderr_tail.and_then(last_line).and_then(end_of_line))
            .or_else(|| self.is_result_cut().then(|| CUT_RESULT.to_owned()))
            .or_else(|| {
                (is_without_result && self.tails.ends_in_stream_line()).then(|| cut.to_owned())
            })
            .or_else(of_stdout);
        error.map(|error| shortened(&error))
    }

    fn is_result_cut(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.result_truncated)
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

/// Of a result that was cut, where nothing else says what went wrong.
const CUT_RESULT: &str = "its result line was cut: neither its answer nor its judgement is whole";

/// What an error result says, in the order of how much it says.
fn words_of_error(result: &ClaudeResult) -> Option<String> {
    let is_something = |text: &String| !text.trim().is_empty();
    let text = result.result.clone().filter(|_| result.is_error).filter(is_something);
    let errors = || Some(result.errors.join("; ")).filter(is_something);
    let startup = || {
        let word = result.startup_failure_reason.as_deref()?;
        Some(format!("the CLI failed at its start: {word}"))
    };
    let api = || Some(format!("the API refused: {}", result.api_error.as_deref()?));
    let kind = || {
        let words = [result.subtype.as_deref(), result.terminal_reason.as_deref()];
        let word =
            words.into_iter().flatten().find(|word| !matches!(*word, "success" | "completed"));
        word.filter(|_| result.is_error).map(|word| format!("the CLI ended with “{word}”"))
    };
    text.or_else(errors).or_else(startup).or_else(api).or_else(kind)
}

fn shortened(text: &str) -> String {
    text.chars().take(limits::BATCH_ERROR_CHARS).collect()
}

/// Of a line that is longer than an error may be what it ends with: there a program says what went wrong.
fn end_of_line(line: &str) -> Option<String> {
    last_words(line, limits::BATCH_ERROR_CHARS, false)
}

/// What was said, and what a person must do.
fn with_advice(said: Option<String>, dead_end: cc_claude::DeadEnd) -> String {
    let said = said.unwrap_or_default();
    let said = said.trim_end_matches(['.', ' ']);
    match said.is_empty() {
        true => dead_end.advice().to_owned(),
        false => format!("{said}: {}", dead_end.advice()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use cc_batch::retry::Transient;
    use cc_events::{ClaudeFacts, EndReason, OutputCounts, WarningKind};
    use cc_link::record::Record;

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
            spawn_failure: None,
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
    fn an_agent_that_ends_at_once_with_126_or_127_and_without_a_stream_could_not_be_executed() {
        let lacking = |bodies: Vec<Body>, completed| end_of(bodies, completed).lacking();
        let words = || {
            Body::Output(Output {
                stream: Stream::Stderr,
                piece: None,
                truncated: false,
                data: Bytes::from_static(b"claude: 2: exec: node: not found"),
            })
        };
        let gone = |exit_code| completed(Verdict::NoResult, exit_code);
        for exit_code in [126, 127] {
            let program = Some(SpawnFailureKind::Program);
            assert_eq!(lacking(vec![words()], gone(exit_code)), program, "{exit_code}");
            assert_eq!(lacking(Vec::new(), gone(exit_code)), program, "{exit_code}");
        }
        // It disliked something, or was ended.
        for exit_code in [0, 1, 2, 125, 128, -9] {
            assert_eq!(lacking(vec![words()], gone(exit_code)), None, "{exit_code}");
        }
        // It began.
        let begun = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
        assert_eq!(lacking(vec![line(begun)], gone(127)), None);
        let late = Completed { duration_ms: limits::AGENT_GONE_MS + 1, ..gone(127) };
        assert_eq!(lacking(Vec::new(), late), None);
        // Not an agent: that is what it exits with.
        assert_eq!(lacking(Vec::new(), completed(Verdict::Failed, 127)), None);
    }

    #[test]
    fn an_agent_whose_script_or_a_part_of_it_is_not_there_could_not_be_executed() {
        let said = |text: &'static str| {
            Body::Output(Output {
                stream: Stream::Stderr,
                piece: None,
                truncated: false,
                data: Bytes::from_static(text.as_bytes()),
            })
        };
        let node = vec![
            said("node:internal/modules/cjs/loader:1228"),
            said("Error: Cannot find module '/opt/claude/cli.js'"),
            said("  code: 'MODULE_NOT_FOUND',"),
            said("  requireStack: []"),
            said("}"),
        ];
        let end = end_of(node, completed(Verdict::NoResult, 1));
        assert_eq!(end.lacking(), Some(SpawnFailureKind::Program));
        let other = end_of(vec![said("error: unknown option")], completed(Verdict::NoResult, 1));
        assert_eq!(other.lacking(), None);
    }

    #[test]
    fn a_worker_that_died_before_it_had_started_its_task_is_waited_for() {
        let died = completed(Verdict::WorkerDied, 125);
        let before = Completed { spawn_failure: Some(SpawnFailureKind::Means), ..died.clone() };
        let end = end_of(Vec::new(), before);
        assert_eq!(end.attempt.class, Class::Unavailable { want: Want::Means });
        assert_eq!(end_of(Vec::new(), died).attempt.class, Class::Lost);
    }

    fn retry(error_status: u64) -> Body {
        Body::Event(Event::ClaudeRetrying(ClaudeRetry {
            attempt: 1,
            max_retries: 10,
            retry_delay_ms: 500,
            error_status: Some(error_status),
            error: None,
        }))
    }

    const ANSWER: &str =
        r#"{"type":"assistant","message":{"model":"m","content":[{"type":"text","text":"x"}]}}"#;

    #[test]
    fn credentials_are_refused_when_the_cli_says_so_several_times_in_a_row() {
        let is_refused = |bodies: Vec<Body>| {
            let mut collector = Collector::new();
            collector.take(&frames(bodies));
            collector.is_auth_refused()
        };
        assert!(is_refused(vec![retry(401), retry(403), retry(401)]));
        assert!(!is_refused(vec![retry(401), retry(401)]), "it may get over it");
        assert!(!is_refused(vec![retry(401), retry(401), retry(529), retry(401)]));
        assert!(!is_refused(vec![retry(401), retry(401), line(ANSWER), retry(401)]));
    }

    fn limit_event(kind: &str) -> Body {
        Body::Event(Event::RateLimited(LimitReport {
            message: kind.to_owned(),
            resets_at_s: Some(1_790_000_000),
            kind: Some(kind.to_owned()),
            blocked_by: None,
        }))
    }

    fn limit_line(kind: &str) -> Body {
        line(&format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","rateLimitType":"{kind}","resetsAt":1790000000}}}}"#
        ))
    }

    #[test]
    fn a_limit_is_suspected_as_soon_as_it_is_reported_until_something_is_answered() {
        let mut collector = Collector::new();
        collector.take(&frames(vec![limit_line("seven_day_opus"), limit_event("seven_day_opus")]));
        assert_eq!(collector.suspected_limit(), Some(&Some("opus".to_owned())));
        collector.take(&frames(vec![line(ANSWER)]));
        assert_eq!(collector.suspected_limit(), None);
    }

    #[test]
    fn a_limit_that_was_got_over_is_not_the_reason_of_a_later_failure() {
        let init = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
        let failure = |status| {
            Body::Event(Event::ClaudeResult(Box::new(ClaudeResult {
                is_error: true,
                api_error_status: status,
                terminal_reason: Some("api_error".to_owned()),
                result: Some("API Error: no answer".to_owned()),
                ..ClaudeResult::default()
            })))
        };
        let class = |bodies: Vec<Body>| {
            let limit = [line(init), limit_line("five_hour"), limit_event("five_hour")];
            let bodies = limit.into_iter().chain(bodies).collect();
            end_of(bodies, completed(Verdict::Failed, 1)).attempt.class
        };
        let connection = Class::Transient { cause: Transient::Connection };
        assert_eq!(class(vec![line(ANSWER), failure(None)]), connection);
        assert!(matches!(class(vec![failure(None)]), Class::Limit { ends_at_ms: Some(_) }));
    }

    #[test]
    fn a_dead_end_says_what_a_person_must_do_and_a_limit_that_ends_is_none() {
        let result = |text: &str| {
            let result = ClaudeResult {
                is_error: true,
                api_error_status: Some(400),
                result: Some(text.to_owned()),
                ..ClaudeResult::default()
            };
            vec![Body::Event(Event::ClaudeResult(Box::new(result)))]
        };
        let end = end_of(result("Credit balance is too low."), completed(Verdict::Failed, 1));
        assert_eq!(end.attempt.class, Class::Never { cause: Never::Account });
        assert_eq!(end.attempt.verdict, Verdict::Account);
        assert!(end.error.unwrap().starts_with("Credit balance is too low: buy credits"));
        let text = "You are out of credits · resets in 2 hours";
        let end = end_of(result(text), completed(Verdict::Failed, 1));
        assert!(matches!(end.attempt.class, Class::Limit { ends_at_ms: Some(_) }));
    }

    #[test]
    fn what_a_person_must_put_right_is_not_waited_for_whatever_limit_was_met_with_it() {
        let refused = |status, text: &str| {
            let result = ClaudeResult {
                is_error: true,
                api_error_status: status,
                result: Some(text.to_owned()),
                ..ClaudeResult::default()
            };
            let report = LimitReport {
                message: "five_hour".to_owned(),
                resets_at_s: Some(1_790_000_000),
                ..LimitReport::default()
            };
            let report = status.map(|_| Body::Event(Event::RateLimited(report)));
            let result = Body::Event(Event::ClaudeResult(Box::new(result)));
            report.into_iter().chain([result]).collect::<Vec<_>>()
        };
        let text = "Extra usage is required for long context requests.";
        for (status, verdict) in [(Some(429), Verdict::RateLimited), (None, Verdict::Failed)] {
            let end = end_of(refused(status, text), completed(verdict, 1));
            assert_eq!(end.attempt.class, Class::Never { cause: Never::LongContext }, "{status:?}");
            assert_eq!(end.attempt.verdict, Verdict::Account);
            assert!(end.error.unwrap().contains(": name a model without the 1M"));
        }
    }

    #[test]
    fn of_a_last_line_that_is_too_long_the_error_is_its_end() {
        let long = format!("first\nBEGIN{}THE END\n", "é".repeat(600_000));
        let stderr = |text: &str| {
            let data = Bytes::copy_from_slice(text.as_bytes());
            Body::Output(Output { stream: Stream::Stderr, piece: None, truncated: false, data })
        };
        let end = end_of(vec![stderr(&long)], completed(Verdict::Failed, 1));
        let error = end.error.unwrap();
        assert!(error.starts_with("…é") && error.ends_with("éTHE END"), "{error}");
        let end = end_of(vec![line(&long)], completed(Verdict::NoResult, 1));
        assert!(end.error.unwrap().ends_with("éTHE END"));
        let end = end_of(vec![stderr("before\nshort\n")], completed(Verdict::Failed, 1));
        assert_eq!(end.error.as_deref(), Some("short"));
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

    fn stderr(text: &str) -> Body {
        let data = Bytes::copy_from_slice(text.as_bytes());
        Body::Output(Output { stream: Stream::Stderr, piece: None, truncated: false, data })
    }

    fn warned(verdict: Verdict, messages: &[&str]) -> Completed {
        let warning = |message: &&str| Warning {
            kind: WarningKind::PermissionDenied,
            message: (*message).to_owned(),
        };
        let warnings = messages.iter().map(warning).collect();
        Completed { warnings, ..completed(verdict, 0) }
    }

    #[test]
    fn what_went_wrong_is_said_by_whoever_knows_best() {
        let result = |result: ClaudeResult| {
            Body::Event(Event::ClaudeResult(Box::new(ClaudeResult { is_error: true, ..result })))
        };
        let text = || ClaudeResult {
            result: Some("Prompt is too long".to_owned()),
            errors: vec!["ignored".to_owned()],
            ..ClaudeResult::default()
        };
        let errors = ClaudeResult {
            result: Some(" \n".to_owned()),
            errors: vec!["cannot read the settings".to_owned(), "line 3".to_owned()],
            startup_failure_reason: Some("config_file_invalid".to_owned()),
            ..ClaudeResult::default()
        };
        let startup = ClaudeResult {
            startup_failure_reason: Some("config_file_invalid".to_owned()),
            ..ClaudeResult::default()
        };
        let api =
            ClaudeResult { api_error: Some("billing_error".to_owned()), ..ClaudeResult::default() };
        let cut = ClaudeResult { result_truncated: true, ..ClaudeResult::default() };
        let words = || stderr("first\n\u{1b}[31mNo conversation found\u{1b}[0m\n\n");
        let failed = || completed(Verdict::Failed, 1);
        let said = |bodies: Vec<Body>, completed: Completed| end_of(bodies, completed).error;
        let server = Completed { error: Some("no end after 2 s".to_owned()), ..failed() };
        for (bodies, completed, expected) in [
            (vec![words(), result(text())], server, Some("no end after 2 s")),
            (vec![words(), result(text())], failed(), Some("Prompt is too long")),
            (vec![words(), result(errors)], failed(), Some("cannot read the settings; line 3")),
            (
                vec![words(), result(startup)],
                failed(),
                Some("the CLI failed at its start: config_file_invalid"),
            ),
            (
                vec![words(), result(api)],
                failed(),
                Some(
                    "the API refused: billing_error: see to the payment in the billing settings of the account",
                ),
            ),
            (
                vec![words()],
                warned(Verdict::Denied, &["Bash was denied", "so was Edit"]),
                Some("Bash was denied; so was Edit"),
            ),
            (vec![words(), line("more\n")], failed(), Some("No conversation found")),
            (vec![result(cut)], failed(), Some(CUT_RESULT)),
            (
                vec![line("unknown option\n")],
                completed(Verdict::NoResult, 1),
                Some("unknown option"),
            ),
            (vec![line("3 tests failed\n")], failed(), None),
            (vec![words()], completed(Verdict::Succeeded, 0), None),
        ] {
            assert_eq!(said(bodies, completed).as_deref(), expected);
        }
        let init = line("{\"type\":\"system\",\"subtype\":\"init\"}\n");
        let error =
            said(vec![init, line("{\"type\":\"result\",\"res")], completed(Verdict::NoResult, 0));
        assert!(error.unwrap().contains("ends in the middle of a line"));
    }

    #[test]
    fn an_attempt_keeps_its_last_words_and_a_claude_task_says_them_in_words() {
        let end = end_of(
            vec![line("out\n"), stderr("err\n"), line("{\"type\":\"mine\"}\n")],
            completed(Verdict::Failed, 2),
        );
        assert_eq!(end.stdout_tail.as_deref(), Some("out\n{\"type\":\"mine\"}"));
        assert_eq!(end.stderr_tail.as_deref(), Some("err"));
        let init = r#"{"type":"system","subtype":"init","session_id":"s-1"}"#;
        let result = ClaudeResult {
            is_error: true,
            errors: vec!["first".to_owned(), "second".to_owned()],
            ..ClaudeResult::default()
        };
        let bodies = vec![
            line(&format!("{init}\n")),
            line("a wrapper's word\n"),
            Body::Event(Event::ClaudeResult(Box::new(result))),
        ];
        let end = end_of(bodies, completed(Verdict::Failed, 1));
        assert_eq!(end.stdout_tail.as_deref(), Some("a wrapper's word\nfirst\nsecond"));
    }

    #[test]
    fn a_prompt_that_was_ended_keeps_its_conversation() {
        let init = line("{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}\n");
        let end = end_of(vec![init], completed(Verdict::TimedOut, -15));
        assert_eq!(end.claude_session_id.as_deref(), Some("s-1"));
        let facts = ClaudeFacts { session_id: Some("s-2".to_owned()), ..ClaudeFacts::default() };
        let told = Completed { claude: Some(Box::new(facts)), ..completed(Verdict::Canceled, -15) };
        assert_eq!(end_of(Vec::new(), told).claude_session_id.as_deref(), Some("s-2"));
    }

    #[test]
    fn a_strict_batch_makes_a_success_with_warnings_a_failure_that_names_them() {
        let mut end = end_of(Vec::new(), warned(Verdict::Succeeded, &["Bash was denied"]));
        assert_eq!((end.attempt.class, end.error.clone()), (Class::Done, None));
        end.fail_on_warnings();
        assert_eq!(end.attempt.verdict, Verdict::Failed);
        assert_eq!(end.attempt.class, Class::Never { cause: Never::Failed });
        assert!(!end.attempt.has_result);
        assert!(end.error.unwrap().ends_with("strict: Bash was denied"));
        let mut clean = end_of(Vec::new(), completed(Verdict::Succeeded, 0));
        clean.fail_on_warnings();
        assert_eq!(clean.attempt.verdict, Verdict::Succeeded);
        let mut failed = end_of(Vec::new(), warned(Verdict::TimedOut, &["cut off"]));
        failed.fail_on_warnings();
        assert_eq!(failed.attempt.verdict, Verdict::TimedOut);
    }

    #[test]
    fn a_log_without_an_end_is_a_lost_task() {
        let end = Collector::new().end(None, 7);
        assert_eq!((end.attempt.class, end.at_ms), (Class::Lost, 7));
        assert!(end.error.unwrap().contains("may have had effects"));
    }
}
