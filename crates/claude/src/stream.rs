//! What a Claude task's stdout says: retries, limits, results, background tasks.
//!
//! The worker feeds [`StreamObserver`] with every fragment of stdout; the bytes themselves go their
//! own way untouched. Only what the CLI states in structured form counts: words in an answer or in a
//! tool's output never do. Owns the [`Summary`] from which [`crate::verdict`] judges the end.

use std::collections::BTreeSet;

use cc_link::event::{ClaudeResult, ClaudeRetry, Event, LimitReport};
use serde_json::value::RawValue;

use crate::{
    line::{Line, LineCollector},
    result::{TEXT_BYTES_LIMIT, cut_text, read_result, says_not_logged_in, short_text},
    view::View,
};

/// Most events that one task's stream can cause. A stream that says more is broken or hostile; the
/// lines themselves are in the output as ever.
pub const EVENTS_LIMIT: u32 = 1_000;
/// Most background tasks that are followed at once; more than these do not prolong the linger.
pub const BACKGROUND_TASKS_LIMIT: usize = 256;

const LINE_FIELDS: &[&str] = &[
    "type",
    "subtype",
    "session_id",
    "model",
    "is_error",
    "result",
    "api_error_status",
    "terminal_reason",
    "num_turns",
    "total_cost_usd",
    "usage",
    "attempt",
    "max_retries",
    "retry_delay_ms",
    "error_status",
    "error",
    "task_id",
    "patch",
    "rate_limit_info",
    "message",
];

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
    lines: LineCollector,
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
    /// An observer for one task. `line_bytes_limit` is the task's; more than 16 MiB is not kept.
    #[must_use]
    pub fn new(line_bytes_limit: u64) -> Self {
        let reader = Reader {
            summary: Summary::default(),
            results: 0,
            background: BTreeSet::new(),
            events_left: EVENTS_LIMIT,
            rate_limit: None,
            token_limit: None,
        };
        Self { lines: LineCollector::new(line_bytes_limit), reader }
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
        match self.lines.fragment(data, starts_line, ends_line, truncated) {
            Some(Line::Whole(line)) => {
                let text = String::from_utf8_lossy(line);
                if let Some(view) = View::parse(&text, LINE_FIELDS) {
                    self.reader.line(&view, emit);
                }
            }
            Some(Line::Cut(line)) => {
                let text = String::from_utf8_lossy(line);
                let view = View::parse_prefix(&text, LINE_FIELDS);
                // Half a result is better than none. Half of anything else says nothing.
                if view.is("type", "result") {
                    self.reader.result(&view, true, emit);
                }
            }
            Some(Line::Answer { may_use_tool }) => {
                self.reader.summary.refusal = None;
                self.reader.summary.tool_may_have_run |= may_use_tool;
            }
            Some(Line::ToolResult) => self.reader.summary.tool_may_have_run = true,
            None => {}
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
    fn line(&mut self, view: &View<'_>, emit: &mut dyn FnMut(Event)) {
        match view.text("type").as_deref() {
            Some("result") => self.result(view, false, emit),
            Some("system") => self.system(view, emit),
            Some("assistant") => self.assistant(view, emit),
            Some("rate_limit_event") => self.rate_limit_event(view, emit),
            Some(_) | None => {}
        }
    }

    fn system(&mut self, view: &View<'_>, emit: &mut dyn FnMut(Event)) {
        match view.text("subtype").as_deref() {
            Some("init") => {
                self.summary.is_stream = true;
                self.summary.model = short_text(view, "model");
                self.note_session(view);
            }
            Some("api_retry") => self.retry(view, emit),
            Some("task_started") => {
                if let Some(task) = view.text("task_id")
                    && task.len() <= TEXT_BYTES_LIMIT
                    && self.background.len() < BACKGROUND_TASKS_LIMIT
                {
                    self.background.insert(task);
                }
            }
            Some("task_notification") => self.background_ended(view),
            Some("task_updated") => {
                let status =
                    view.object("patch", &["status"]).and_then(|patch| patch.text("status"));
                if matches!(status.as_deref(), Some("completed" | "failed" | "killed" | "stopped"))
                {
                    self.background_ended(view);
                }
            }
            Some(_) | None => {}
        }
    }

    fn background_ended(&mut self, view: &View<'_>) {
        if let Some(task) = view.text("task_id") {
            self.background.remove(&task);
        }
    }

    fn retry(&mut self, view: &View<'_>, emit: &mut dyn FnMut(Event)) {
        let retry = ClaudeRetry {
            attempt: view.count("attempt").unwrap_or(0),
            max_retries: view.count("max_retries").unwrap_or(0),
            retry_delay_ms: view.count("retry_delay_ms").unwrap_or(0),
            error_status: view.count("error_status"),
            error: short_text(view, "error"),
        };
        self.summary.is_stream = true;
        self.note_session(view);
        let refusal = Refusal::of_retry(&retry);
        self.summary.refusal = refusal;
        let word = retry.error.clone();
        self.emit(Event::ClaudeRetrying(retry), emit);
        if refusal == Some(Refusal::RateLimit) {
            self.rate_limited(word, None, emit);
        }
    }

    fn rate_limit_event(&mut self, view: &View<'_>, emit: &mut dyn FnMut(Event)) {
        let Some(info) = view.object("rate_limit_info", &["status", "resetsAt", "rateLimitType"])
        else {
            return;
        };
        // It also comes with `allowed`, which is news for a status bar and no limit.
        if info.is("status", "rejected") {
            self.summary.refusal = Some(Refusal::RateLimit);
            let kind = short_text(&info, "rateLimitType");
            self.rate_limited(kind, info.count("resetsAt"), emit);
        }
    }

    /// An answer that the CLI made up itself to report a failure of the API.
    fn assistant(&mut self, view: &View<'_>, emit: &mut dyn FnMut(Event)) {
        let message = view.object("message", &["model", "content"]);
        let synthetic = message.as_ref().is_some_and(|message| message.is("model", "<synthetic>"));
        let error = if synthetic { view.text("error") } else { None };
        self.summary.refusal = error.as_deref().and_then(refusal_of_word);
        let text = || message.as_ref().and_then(first_text);
        if self.summary.refusal == Some(Refusal::RateLimit) {
            self.rate_limited(text(), None, emit);
        } else if error.as_deref() == Some("max_output_tokens") {
            self.token_limited(text(), emit);
        }
    }

    fn result(&mut self, view: &View<'_>, cut: bool, emit: &mut dyn FnMut(Event)) {
        self.summary.is_stream = true;
        self.note_session(view);
        self.results = self.results.saturating_add(1);
        let session = self.summary.claude_session_id.clone();
        let result = read_result(view, cut, session, self.summary.model.clone());
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

    fn note_session(&mut self, view: &View<'_>) {
        if let Some(session) = short_text(view, "session_id") {
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
        let report = LimitReport { message, resets_at_s: resets_at_s.or(known) };
        if self.rate_limit.as_ref() != Some(&report) {
            self.rate_limit = Some(report.clone());
            self.emit(Event::RateLimited(report), emit);
        }
    }

    /// Reports a token limit, unless that would only repeat the report before.
    fn token_limited(&mut self, message: Option<String>, emit: &mut dyn FnMut(Event)) {
        let message = message.unwrap_or_else(|| "token limit".to_owned());
        let report = LimitReport { message, resets_at_s: None };
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

/// The text of a message's first block.
fn first_text(message: &View<'_>) -> Option<String> {
    let blocks: Vec<&RawValue> = serde_json::from_str(message.raw("content")?.get()).ok()?;
    short_text(&View::parse(blocks.first()?.get(), &["text"])?, "text")
}

#[cfg(test)]
mod tests;
