//! What a Claude task's stdout says: retries, limits, results, background tasks.
//!
//! The worker feeds [`StreamObserver`] with every fragment of stdout; the bytes themselves go their
//! own way untouched. Only what the CLI states in structured form counts: words in an answer or in a
//! tool's output never do. Owns the [`Summary`] from which [`crate::verdict`] judges the end.

use std::collections::BTreeSet;

use cc_link::event::{ClaudeResult, ClaudeRetry, Event, LimitReport};

use crate::{
    line::{Extent, Line, LineReader, text},
    result::{TEXT_BYTES_LIMIT, cut_text, read_result, says_not_logged_in, short_text},
};

/// Most events that one task's stream can cause. A stream that says more is broken or hostile; the
/// lines themselves are in the output as ever.
pub const EVENTS_LIMIT: u32 = 1_000;
/// Most background tasks that are followed at once; more than these do not prolong the linger.
pub const BACKGROUND_TASKS_LIMIT: usize = 256;

/// What was learned from a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The last result line.
    pub result: Option<ClaudeResult>,
    /// At least one line was Claude's: its `init`, a retry or a result.
    pub is_stream: bool,
    /// A tool of the CLI's ran, or may have: without a result nobody knows what it has done. False only
    /// where that is sure; an answer too long to be looked through counts as one that may have.
    pub tool_may_have_run: bool,
    /// The API's last word was a refusal: nothing was answered since.
    pub refusal: Option<Refusal>,
    /// The model of the last `init` line.
    pub model: Option<String>,
    /// The session of the last line that named one, for `--resume`.
    pub claude_session_id: Option<String>,
}

/// Why the API refuses, as far as it decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The credentials, or that there are none: trying again will not help.
    Auth,
    /// A rate or usage limit: trying again later will help.
    RateLimit,
}

impl Refusal {
    /// Why the API refused, where the CLI reports that it tries again; `None` for anything else.
    #[must_use]
    pub fn of_retry(retry: &ClaudeRetry) -> Option<Self> {
        match retry.error_status {
            Some(status) => refusal_of_status(status),
            None => retry.error.as_deref().and_then(refusal_of_word),
        }
    }
}

/// Reads a task's stdout as it is split into lines and pieces. Memory: one line, and a few small sets.
#[derive(Debug)]
pub struct StreamObserver {
    lines: LineReader,
    reader: Reader,
}

/// Everything but the assembly of lines.
#[derive(Debug)]
struct Reader {
    summary: Summary,
    results: u64,
    background: BTreeSet<String>,
    events_left: u32,
    rate_limit: Option<LimitReport>,
    token_limit: Option<LimitReport>,
}

impl StreamObserver {
    /// An observer for one task.
    #[must_use]
    pub fn new() -> Self {
        let reader = Reader {
            summary: Summary::default(),
            results: 0,
            background: BTreeSet::new(),
            events_left: EVENTS_LIMIT,
            rate_limit: None,
            token_limit: None,
        };
        Self { lines: LineReader::new(), reader }
    }

    /// Takes the next fragment of stdout: a whole line, or a piece of one in its order.
    ///
    /// `emit` gets [`Event::ClaudeRetrying`], [`Event::RateLimited`] and [`Event::TokenLimited`].
    /// [`Event::ClaudeResult`] is the caller's to make, from [`Summary::result`], when the task is
    /// over: only then is a result known to be the last one.
    pub fn fragment(
        &mut self,
        data: &[u8],
        starts_line: bool,
        ends_line: bool,
        truncated: bool,
        emit: &mut dyn FnMut(Event),
    ) {
        if let Some(line) = self.lines.fragment(data, starts_line, ends_line, truncated) {
            self.reader.line(&line, emit);
        }
    }

    /// Whether a result line has come.
    #[must_use]
    pub fn result_seen(&self) -> bool {
        self.reader.results > 0
    }

    /// How many result lines have come: each one restarts the linger clock.
    #[must_use]
    pub fn results(&self) -> u64 {
        self.reader.results
    }

    /// Whether the CLI has announced tasks of its own (a command or an agent in the background) and
    /// not yet said that they are over: another result may follow.
    #[must_use]
    pub fn background_in_flight(&self) -> bool {
        !self.reader.background.is_empty()
    }

    /// What is known so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.reader.summary
    }

    /// What is known at the end.
    #[must_use]
    pub fn into_summary(self) -> Summary {
        self.reader.summary
    }
}

impl Reader {
    fn line(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        let is_whole = line.extent() == Extent::Whole;
        match line.text("type").as_deref() {
            // Half a result is better than none, where the line limit has cut it. Half of anything else says nothing.
            Some("result") if line.extent() != Extent::Unfinished => {
                self.result(line, !is_whole, emit);
            }
            Some("system") if is_whole => self.system(line, emit),
            Some("assistant") => self.assistant(line, emit),
            Some("user") => self.summary.tool_may_have_run = true,
            Some("rate_limit_event") if is_whole => self.rate_limit_event(line, emit),
            Some(_) | None => {}
        }
    }

    fn system(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        match line.text("subtype").as_deref() {
            Some("init") => {
                self.summary.is_stream = true;
                self.summary.model = short_text(line, "model");
                self.note_session(line);
            }
            Some("api_retry") => self.retry(line, emit),
            Some("task_started") => {
                if let Some(task) = line.text("task_id")
                    && task.len() <= TEXT_BYTES_LIMIT
                    && self.background.len() < BACKGROUND_TASKS_LIMIT
                {
                    self.background.insert(task);
                }
            }
            Some("task_notification") => self.background_ended(line),
            Some("task_updated") => {
                let status = line.text("patch.status");
                if matches!(status.as_deref(), Some("completed" | "failed" | "killed" | "stopped"))
                {
                    self.background_ended(line);
                }
            }
            Some(_) | None => {}
        }
    }

    fn background_ended(&mut self, line: &Line<'_>) {
        if let Some(task) = line.text("task_id") {
            self.background.remove(&task);
        }
    }

    fn retry(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        let retry = ClaudeRetry {
            attempt: line.count("attempt").unwrap_or(0),
            max_retries: line.count("max_retries").unwrap_or(0),
            retry_delay_ms: line.count("retry_delay_ms").unwrap_or(0),
            error_status: line.count("error_status"),
            error: short_text(line, "error"),
        };
        self.summary.is_stream = true;
        self.note_session(line);
        let refusal = Refusal::of_retry(&retry);
        self.summary.refusal = refusal;
        let word = retry.error.clone();
        self.emit(Event::ClaudeRetrying(retry), emit);
        if refusal == Some(Refusal::RateLimit) {
            self.rate_limited(word, None, emit);
        }
    }

    fn rate_limit_event(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        // It also comes with `allowed`, which is news for a status bar and no limit.
        if line.is("rate_limit_info.status", "rejected") {
            self.summary.refusal = Some(Refusal::RateLimit);
            let kind = short_text(line, "rate_limit_info.rateLimitType");
            self.rate_limited(kind, line.count("rate_limit_info.resetsAt"), emit);
        }
    }

    /// An answer: the model's, or one that the CLI made up itself to report a failure of the API.
    fn assistant(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        let is_whole = line.extent() == Extent::Whole;
        if !(is_whole && line.is("message.model", "<synthetic>")) {
            self.summary.refusal = None;
            let asks_for_tool = |kind: String| kind.ends_with("tool_use");
            let mut kinds = line.all("message.content.type").filter_map(text);
            self.summary.tool_may_have_run |= !is_whole || kinds.any(asks_for_tool);
            return;
        }
        let error = line.text("error");
        self.summary.refusal = error.as_deref().and_then(refusal_of_word);
        let text = || short_text(line, "message.content.text");
        if self.summary.refusal == Some(Refusal::RateLimit) {
            self.rate_limited(text(), None, emit);
        } else if error.as_deref() == Some("max_output_tokens") {
            self.token_limited(text(), emit);
        }
    }

    fn result(&mut self, line: &Line<'_>, cut: bool, emit: &mut dyn FnMut(Event)) {
        self.summary.is_stream = true;
        self.note_session(line);
        self.results = self.results.saturating_add(1);
        let session = self.summary.claude_session_id.clone();
        let result = read_result(line, cut, session, self.summary.model.clone());
        self.summary.refusal = match (result.is_error, result.api_error_status) {
            (false, _) => None,
            (true, Some(status)) => refusal_of_status(status),
            (true, None) if says_not_logged_in(&result) => Some(Refusal::Auth),
            (true, None) => self.summary.refusal,
        };
        let text = || result.result.as_deref().map(|text| cut_text(text, TEXT_BYTES_LIMIT));
        if result.is_error && result.api_error_status == Some(429) {
            self.rate_limited(text(), None, emit);
        }
        // The API's word for a context that is full, and the CLI's own when it does not even ask.
        let reason = result.terminal_reason.as_deref();
        if result.is_error && matches!(reason, Some("prompt_too_long" | "blocking_limit")) {
            self.token_limited(text(), emit);
        }
        self.summary.result = Some(result);
    }

    fn note_session(&mut self, line: &Line<'_>) {
        if let Some(session) = short_text(line, "session_id") {
            self.summary.claude_session_id = Some(session);
        }
    }

    /// Reports a rate limit, unless that would only repeat the report before.
    fn rate_limited(
        &mut self,
        message: Option<String>,
        resets_at_s: Option<u64>,
        emit: &mut dyn FnMut(Event),
    ) {
        let known = self.rate_limit.as_ref().and_then(|report| report.resets_at_s);
        let message = message.unwrap_or_else(|| "rate_limit".to_owned());
        let report = LimitReport {
            message,
            resets_at_s: resets_at_s.or(known),
            kind: None,
            blocked_by: None,
        };
        if self.rate_limit.as_ref() != Some(&report) {
            self.rate_limit = Some(report.clone());
            self.emit(Event::RateLimited(report), emit);
        }
    }

    /// Reports a token limit, unless that would only repeat the report before.
    fn token_limited(&mut self, message: Option<String>, emit: &mut dyn FnMut(Event)) {
        let message = message.unwrap_or_else(|| "token limit".to_owned());
        let report = LimitReport { message, ..LimitReport::default() };
        if self.token_limit.as_ref() != Some(&report) {
            self.token_limit = Some(report.clone());
            self.emit(Event::TokenLimited(report), emit);
        }
    }

    fn emit(&mut self, event: Event, emit: &mut dyn FnMut(Event)) {
        if self.events_left > 0 {
            self.events_left -= 1;
            emit(event);
        }
    }
}

fn refusal_of_status(status: u64) -> Option<Refusal> {
    match status {
        401 | 403 => Some(Refusal::Auth),
        429 => Some(Refusal::RateLimit),
        _ => None,
    }
}

/// The CLI's own words for a failed request.
fn refusal_of_word(word: &str) -> Option<Refusal> {
    match word {
        "authentication_failed" | "oauth_org_not_allowed" => Some(Refusal::Auth),
        "rate_limit" => Some(Refusal::RateLimit),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
