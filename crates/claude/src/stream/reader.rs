//! Takes each line of the stream by its type, and keeps what has been learned.

use cc_events::{ClaudeFacts, ClaudeResult, ClaudeRetry, Event, LimitReport};

use super::{
    reports::Reports,
    summary::{Summary, Work},
};
use crate::{
    activity::Activity,
    answer::Answers,
    bounds::{TEXT_BYTES_LIMIT, cut_text},
    json,
    line::{Extent, Line},
    notes::Notes,
    refusal::{self, Refusal},
    result::read_result,
    unknown::Unknown,
};

/// Everything but the assembly of lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    is_stream: bool,
    tool_may_have_run: bool,
    refusal: Option<Refusal>,
    /// The CLI's own word for the last refusal or failure of the API.
    api_error: Option<String>,
    model: Option<String>,
    session_id: Option<String>,
    /// As it was written: it is read at the end, if at all.
    last_text: Vec<u8>,
    pub(super) activity: Activity,
    answers: Answers,
    notes: Notes,
    unknown: Unknown,
    results: u64,
    is_in_turn: bool,
    retries: u64,
    retry_delay_ms: u64,
    reports: Reports,
}

impl Reader {
    pub(super) fn line(&mut self, line: &Line<'_>, emit: &mut dyn FnMut(Event)) {
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
                self.model = line.short_text("model");
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

    /// The main conversation continues: what came before was not its end.
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
            error: line.short_text("error"),
        };
        self.is_stream = true;
        self.note_session(line);
        self.refusal = Refusal::of_retry(&retry);
        self.retries = self.retries.saturating_add(1);
        self.retry_delay_ms = retry.retry_delay_ms;
        let word = retry.error.clone();
        self.reports.emit(Event::ClaudeRetrying(retry), emit);
        if self.refusal == Some(Refusal::RateLimit) {
            self.reports.rate_limited(
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
        self.reports
            .rate_limited(LimitReport { message, resets_at_s, kind: info.kind, blocked_by }, emit);
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
        let text = line.short_text("message.content.text");
        let Some(error) = refusal::word(line) else {
            self.refusal = None;
            self.notes.local_answer(text);
            return;
        };
        self.refusal = Refusal::of(Some(&error), line.count("api_error_status"), text.as_deref());
        self.api_error = Some(cut_text(&error, TEXT_BYTES_LIMIT));
        if self.refusal == Some(Refusal::RateLimit) {
            let message = text.unwrap_or_else(|| word_of_limit(None));
            self.reports.rate_limited(LimitReport { message, ..LimitReport::default() }, emit);
        } else if error == "max_output_tokens" {
            self.reports.token_limited(text, emit);
        }
    }

    /// The model has answered: no refusal stands, and no limit that was met before is the reason of what comes.
    fn answered(&mut self) {
        self.refusal = None;
        self.api_error = None;
        self.reports.rate_limit_passed();
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
            self.reports.rate_limited(LimitReport { message, ..LimitReport::default() }, emit);
        } else if matches!(reason, Some("prompt_too_long" | "blocking_limit"))
            && self.refusal.is_none()
        {
            // The API's word for a context that is full, and the CLI's own when it does not even ask.
            self.reports.token_limited(text, emit);
        }
    }

    fn note_session(&mut self, line: &Line<'_>) {
        if let Some(session) = line.short_text("session_id") {
            self.session_id = Some(session);
        }
    }

    fn last_text(&self) -> Option<String> {
        let raw = self.last_text.strip_prefix(b"\"")?;
        let text = json::unescape(raw.strip_suffix(b"\"").unwrap_or(raw));
        let start = text.ceil_char_boundary(text.len().saturating_sub(TEXT_BYTES_LIMIT));
        Some(text[start..].to_owned())
    }

    pub(super) fn work(&self) -> Work {
        Work {
            results: self.results,
            is_in_turn: self.is_in_turn,
            is_working: self.activity.is_working(),
            is_background_in_flight: self.activity.is_background_in_flight(),
            retries: self.retries,
            retry_delay_ms: self.retry_delay_ms,
        }
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    pub(super) fn cli_version(&self) -> Option<&str> {
        self.notes.cli_version()
    }

    pub(super) fn summary(&self) -> Summary {
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
