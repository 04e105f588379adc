//! What a Claude task's stdout says: retries, limits, results, what runs, and what a person should know.
//!
//! The worker feeds [`StreamObserver`] with every fragment of stdout; the bytes themselves go their
//! own way untouched. Only what the CLI states in structured form counts: words in an answer or in a
//! tool's output never do. Owns the [`Summary`] from which [`crate::verdict`] judges the end; what runs is
//! `activity`'s, which result is the answer `answer`'s, what a person is told `notes`'s.

use cc_events::{ClaudeFacts, ClaudeResult, ClaudeRetry, Event, LimitReport, Verdict, Warning};

use crate::{
    activity::Activity,
    answer::Answers,
    json,
    known::Unknown,
    line::{Extent, Line, LineReader},
    notes::Notes,
    refusal::{self, Refusal},
    result::{TEXT_BYTES_LIMIT, cut_text, read_result, short_text},
};

/// Most events that one task's stream can cause. A stream that says more is broken or hostile; the
/// lines themselves are in the output as ever.
pub const EVENTS_LIMIT: u32 = 1_000;

/// What was learned from a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The result of the run: of several, what `answer` makes of them.
    pub result: Option<ClaudeResult>,
    /// At least one line was Claude's: its `init`, a retry or a result.
    pub is_stream: bool,
    /// A tool of the CLI's ran, or may have: without a result nobody knows what it has done. False only
    /// where that is sure.
    pub tool_may_have_run: bool,
    /// The API's last word was a refusal: nothing was answered since.
    pub refusal: Option<Refusal>,
    /// The model of the last `init` line.
    pub model: Option<String>,
    /// The session of the last line that named one, for `--resume`.
    pub claude_session_id: Option<String>,
    /// The end of the last text that the model has written, at most 4 KiB.
    pub last_text: Option<String>,
    /// What the stream says of the CLI.
    pub facts: ClaudeFacts,
    /// What a good result does not say: why the work cannot have been done. In words, it is one of the warnings.
    pub shortfall: Option<Verdict>,
    /// What a person should know beside the verdict.
    pub warnings: Vec<Warning>,
}

/// Reads a task's stdout as it is split into lines and pieces. Memory: what is wanted of one line, and a few small
/// sets.
#[derive(Debug, Default)]
pub struct StreamObserver {
    lines: LineReader,
    reader: Reader,
}

/// Everything but the assembly of lines.
#[derive(Debug)]
struct Reader {
    is_stream: bool,
    tool_may_have_run: bool,
    refusal: Option<Refusal>,
    /// The CLI's own word for the last refusal or failure of the API.
    api_error: Option<String>,
    model: Option<String>,
    session_id: Option<String>,
    /// As it was written: it is read at the end, if at all.
    last_text: Vec<u8>,
    activity: Activity,
    answers: Answers,
    notes: Notes,
    unknown: Unknown,
    results: u64,
    is_in_turn: bool,
    retries: u64,
    retry_delay_ms: u64,
    events_left: u32,
    rate_limit: Option<LimitReport>,
    token_limit: Option<LimitReport>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            is_stream: false,
            tool_may_have_run: false,
            refusal: None,
            api_error: None,
            model: None,
            session_id: None,
            last_text: Vec::new(),
            activity: Activity::default(),
            answers: Answers::default(),
            notes: Notes::default(),
            unknown: Unknown::default(),
            results: 0,
            is_in_turn: false,
            retries: 0,
            retry_delay_ms: 0,
            events_left: EVENTS_LIMIT,
            rate_limit: None,
            token_limit: None,
        }
    }
}

/// What a task's clocks need to know of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How many result lines have come.
    pub results: u64,
    /// After the last result another turn has begun, which will have its own.
    pub is_in_turn: bool,
    /// A tool call runs, or work in the background: silence is to be expected.
    pub is_working: bool,
    /// Work in the background runs: another result may follow.
    pub is_background_in_flight: bool,
    /// How many retries the CLI has reported, and how long it waits before the last one, milliseconds.
    pub retries: u64,
    /// See `retries`.
    pub retry_delay_ms: u64,
}

impl StreamObserver {
    /// An observer for one task.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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

    /// What runs, and what is to be expected.
    #[must_use]
    pub fn work(&self) -> Work {
        Work {
            results: self.reader.results,
            is_in_turn: self.reader.is_in_turn,
            is_working: self.reader.activity.is_working(),
            is_background_in_flight: self.reader.activity.is_background_in_flight(),
            retries: self.reader.retries,
            retry_delay_ms: self.reader.retry_delay_ms,
        }
    }

    /// The API's last word was a refusal: nothing was answered since.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.reader.refusal
    }

    /// The CLI's version, by itself, as soon as it has said it.
    #[must_use]
    pub fn cli_version(&self) -> Option<&str> {
        self.reader.notes.cli_version()
    }

    /// What is known so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.reader.summary()
    }
}

impl Reader {
    fn line(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        let is_whole = line.extent() == Extent::Whole;
        let kind = line.text("type").or_else(|| line.is_cut_result().then(|| "result".to_owned()));
        let Some(kind) = kind else { return };
        let subtype = line.text("subtype");
        match kind.as_str() {
            // Half a result is better than none, where the line limit has cut it. Half of anything else says nothing.
            "result" if line.extent() == Extent::Unfinished => {
                self.is_stream = true;
                // The run came to its end: again it would be paid again.
                self.tool_may_have_run = true;
                self.notes.unfinished_result();
            }
            "result" => self.result(line, !is_whole, emit),
            "system" if is_whole => self.system(line, subtype.as_deref(), emit),
            "assistant" => self.assistant(line, emit),
            "user" => self.user(line),
            "rate_limit_event" if is_whole => self.rate_limit_event(line, emit),
            "conversation_reset" => self.notes.conversation_reset(line),
            _ => {}
        }
        if is_whole && self.is_stream {
            self.unknown.line(line, &kind, subtype.as_deref());
        }
    }

    fn system(&mut self, line: &Line<'_>, subtype: Option<&str>, emit: &mut dyn FnMut(Event)) {
        match subtype {
            Some("init") => {
                self.is_stream = true;
                self.model = short_text(line, "model");
                self.note_session(line);
                self.notes.init(line);
                self.turn();
            }
            Some("api_retry") => self.retry(line, emit),
            Some("status") => self.activity.status(line),
            Some("hook_started") => self.activity.hook(line, true),
            Some("hook_response") => self.activity.hook(line, false),
            Some("compact_boundary") => self.activity.compacted(),
            Some("task_started") => self.activity.started(line),
            Some("task_updated") => self.activity.updated(line),
            Some("task_notification") => self.activity.notified(line),
            Some("background_tasks_changed") => self.activity.background(line),
            Some("permission_denied") => {
                self.activity.denied(line.text("tool_use_id"), line.text("tool_name"));
            }
            Some("session_writes_lost") => self.notes.writes_lost(line),
            Some("model_refusal_no_fallback") => self.notes.refused(),
            Some("model_refusal_fallback") => self.notes.other_model(line),
            Some(_) | None => {}
        }
    }

    /// The main conversation goes on: what came before was not its last word.
    fn turn(&mut self) {
        if self.results > 0 {
            self.is_in_turn = true;
            self.activity.turn();
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
        self.is_stream = true;
        self.note_session(line);
        self.refusal = Refusal::of_retry(&retry);
        self.retries = self.retries.saturating_add(1);
        self.retry_delay_ms = retry.retry_delay_ms;
        let word = retry.error.clone();
        self.emit(Event::ClaudeRetrying(retry), emit);
        if self.refusal == Some(Refusal::RateLimit) {
            self.rate_limited(
                LimitReport { message: word_of_limit(word), ..LimitReport::default() },
                emit,
            );
        }
    }

    /// How the limits of an account stand. Most of these lines are news for a status bar.
    fn rate_limit_event(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        let info = refusal::LimitInfo::read(line);
        if info.uses_extra_usage {
            self.notes.extra_usage(info.kind.as_deref());
        }
        if !info.is_rejected {
            return;
        }
        let blocked_by = info.blocked_by.clone();
        self.refusal = Some(match &blocked_by {
            Some(_) => Refusal::Account,
            None => Refusal::RateLimit,
        });
        let message = word_of_limit(info.kind.clone());
        let resets_at_s = info.resets_at_s;
        self.rate_limited(LimitReport { message, resets_at_s, kind: info.kind, blocked_by }, emit);
    }

    /// An answer: the model's, or one that the CLI made up itself to report a failure of the API.
    fn assistant(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
        let is_whole = line.extent() == Extent::Whole;
        let is_main = line.text("parent_tool_use_id").is_none();
        if is_main {
            self.turn();
            self.activity.compacted();
        }
        if !(is_whole && line.is("message.model", "<synthetic>")) {
            self.answered();
            self.activity.answer(line);
            if let Some(text) = line.all("message.content.text").last().filter(|_| is_main) {
                self.last_text.clear();
                self.last_text.extend_from_slice(text.raw);
            }
            let asks_for_tool = |(_, kind): (u32, String)| kind.ends_with("tool_use");
            let may_use_tool = !is_whole || line.texts("message.content.type").any(asks_for_tool);
            self.tool_may_have_run |= may_use_tool;
            return;
        }
        let text = short_text(line, "message.content.text");
        let Some(error) = refusal::word(line) else {
            self.refusal = None;
            self.notes.local_answer(text);
            return;
        };
        self.refusal = Refusal::of(Some(&error), line.count("api_error_status"), text.as_deref());
        self.api_error = Some(cut_text(&error, TEXT_BYTES_LIMIT));
        if self.refusal == Some(Refusal::RateLimit) {
            let message = text.unwrap_or_else(|| word_of_limit(None));
            self.rate_limited(LimitReport { message, ..LimitReport::default() }, emit);
        } else if error == "max_output_tokens" {
            self.token_limited(text, emit);
        }
    }

    /// The model has answered: no refusal stands, and no limit that was met before is the reason of what comes.
    fn answered(&mut self) {
        self.refusal = None;
        self.api_error = None;
        self.rate_limit = None;
    }

    fn user(&mut self, line: &Line<'_>) {
        self.tool_may_have_run = true;
        self.activity.tool_results(line);
        if line.text("parent_tool_use_id").is_none() {
            self.turn();
        }
    }

    fn result(&mut self, line: &Line<'_>, cut: bool, emit: &mut dyn FnMut(Event)) {
        self.is_stream = true;
        self.note_session(line);
        self.results = self.results.saturating_add(1);
        self.is_in_turn = false;
        self.activity.result();
        for (object, tool) in line.texts("permission_denials.tool_name") {
            self.activity
                .denied(line.text_in(object, "permission_denials.tool_use_id"), Some(tool));
        }
        let mut result = read_result(line, cut, self.session_id.clone(), self.model.clone());
        let word = refusal::word(line);
        let text = result.result.as_deref().map(|text| cut_text(text, TEXT_BYTES_LIMIT));
        self.refusal = if result.is_error {
            // A marked answer before it has said more than the status does.
            let word = self.api_error.as_deref().or(word.as_deref());
            let of_line = Refusal::of(word, result.api_error_status, text.as_deref());
            match (self.refusal, of_line, result.api_error_status) {
                (Some(Refusal::Account), _, _) => Some(Refusal::Account),
                (before, None, None) => before,
                (_, of_line, _) => of_line,
            }
        } else {
            None
        };
        if result.is_error {
            result.api_error = self.api_error.clone().or(word);
        }
        self.notes.result(line, &result);
        self.report_limits(&result, text, emit);
        let origin = line.text("origin.kind").or_else(|| line.text("origin"));
        self.answers.add(result, origin);
    }

    fn report_limits(
        &mut self,
        result: &ClaudeResult,
        text: Option<String>,
        emit: &mut dyn FnMut(Event),
    ) {
        if !result.is_error {
            return;
        }
        let reason = result.terminal_reason.as_deref();
        let is_limited = matches!(self.refusal, Some(Refusal::RateLimit));
        if is_limited || (result.api_error_status == Some(429) && self.refusal.is_some()) {
            let message = text.unwrap_or_else(|| word_of_limit(None));
            self.rate_limited(LimitReport { message, ..LimitReport::default() }, emit);
        } else if matches!(reason, Some("prompt_too_long" | "blocking_limit"))
            && self.refusal.is_none()
        {
            // The API's word for a context that is full, and the CLI's own when it does not even ask.
            self.token_limited(text, emit);
        }
    }

    fn note_session(&mut self, line: &Line<'_>) {
        if let Some(session) = short_text(line, "session_id") {
            self.session_id = Some(session);
        }
    }

    /// Reports a rate limit, unless that would only repeat the report before. What was known of the same limit
    /// (its end, its kind) is known of it still.
    fn rate_limited(&mut self, mut report: LimitReport, emit: &mut dyn FnMut(Event)) {
        if let Some(known) = &self.rate_limit {
            report.resets_at_s = report.resets_at_s.or(known.resets_at_s);
            report.kind = report.kind.or_else(|| known.kind.clone());
            report.blocked_by = report.blocked_by.or_else(|| known.blocked_by.clone());
        }
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

    fn last_text(&self) -> Option<String> {
        let raw = self.last_text.strip_prefix(b"\"")?;
        let text = json::unescape(raw.strip_suffix(b"\"").unwrap_or(raw));
        let start = text.ceil_char_boundary(text.len().saturating_sub(TEXT_BYTES_LIMIT));
        Some(text[start..].to_owned())
    }

    fn summary(&self) -> Summary {
        let mut result = self.answers.merged();
        if let Some(result) = &mut result {
            result.permission_denials =
                self.activity.denied_tools().iter().take(64).cloned().collect();
        }
        let (shortfall, warnings) =
            self.notes.conclude(&self.activity, &self.answers, result.as_ref());
        let facts = ClaudeFacts {
            session_id: self.session_id.clone(),
            unknown: self.unknown.names().clone(),
            ..self.notes.facts()
        };
        Summary {
            result,
            is_stream: self.is_stream,
            tool_may_have_run: self.tool_may_have_run,
            refusal: self.refusal,
            model: self.model.clone(),
            claude_session_id: self.session_id.clone(),
            last_text: self.last_text(),
            facts,
            shortfall,
            warnings,
        }
    }
}

fn word_of_limit(word: Option<String>) -> String {
    word.unwrap_or_else(|| "rate_limit".to_owned())
}

#[cfg(test)]
mod tests;
