//! What a person should know of a run, whatever its result says.
//!
//! A good result is the CLI's word that its loop has ended, and no proof that the work was done: its tools may have
//! been denied, its helpers cut off. Collects such facts from the stream; at the end says which of them mean that the
//! work cannot have been done, and puts all into words. Called by [`crate::stream`].

use cc_events::{ClaudeFacts, ClaudeResult, Verdict, Warning, WarningKind};

use crate::{
    activity::{self, Activity},
    answer::Answers,
    bounds::cut_text,
    line::Line,
};

/// Longest fact of the CLI's, bytes.
const FACT_BYTES_LIMIT: usize = 256;

/// Most warnings of one run.
const WARNINGS_LIMIT: usize = 32;
/// Most bytes of all their words: the terminal event has room for them also on a full disk.
const WARNINGS_BYTES_LIMIT: usize = 4 * 1024;
/// Most MCP servers and plugins that are named.
const NAMED_LIMIT: usize = 8;
/// Longest text that is taken into a warning, characters.
const TEXT_CHARS: usize = 300;

#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    facts: ClaudeFacts,
    mcp_servers: Vec<String>,
    plugins: Vec<String>,
    /// What became known on the way, in its order.
    warnings: Vec<Warning>,
    /// What the CLI said itself in place of an answer.
    local_answer: Option<String>,
    has_unfinished_result: bool,
    is_refused: bool,
    stop_reason: Option<String>,
}

impl Notes {
    pub(crate) fn init(&mut self, line: &Line<'_>) {
        let fact = |name| line.short_text(name).map(|text| cut_text(&text, FACT_BYTES_LIMIT));
        self.facts.cli_version = fact("claude_code_version");
        self.facts.api_key_source = fact("apiKeySource");
        self.mcp_servers.clear();
        for (server, status) in line.texts("mcp_servers.status") {
            // One that is pending may still come; one that is disabled was meant to be.
            if !matches!(status.as_str(), "connected" | "pending" | "disabled") {
                let name = line.text_in(server, "mcp_servers.name").unwrap_or_default();
                self.mcp_servers.push(format!("{name} ({status})"));
            }
        }
        for (server, message) in line.texts("mcp_server_errors.message") {
            let name = line.text_in(server, "mcp_server_errors.name").unwrap_or_default();
            self.mcp_servers.push(format!("{name} ({message})"));
        }
        self.plugins.clear();
        for (plugin, message) in line.texts("plugin_errors.message") {
            let name = line.text_in(plugin, "plugin_errors.plugin").unwrap_or_default();
            self.plugins.push(format!("{name} ({message})"));
        }
        self.mcp_servers.truncate(NAMED_LIMIT);
        self.plugins.truncate(NAMED_LIMIT);
    }

    /// The output ended in the middle of a result line.
    pub(crate) fn unfinished_result(&mut self) {
        self.has_unfinished_result = true;
    }

    pub(crate) fn conversation_reset(&mut self, line: &Line<'_>) {
        let trigger = line.short_text("trigger").map(|trigger| format!(" ({trigger})"));
        let message = format!(
            "the conversation was begun anew{}: what came before was not known to the model any more",
            trigger.unwrap_or_default()
        );
        self.warn(WarningKind::ConversationReset, message);
    }

    pub(crate) fn writes_lost(&mut self, line: &Line<'_>) {
        let lost: Vec<String> =
            line.texts("lost").map(|(_, lost)| lost).take(NAMED_LIMIT).collect();
        let code = line.short_text("error_code").unwrap_or_default();
        let message = format!(
            "the CLI could not save {} ({code}): resuming this conversation may miss a part of it",
            if lost.is_empty() { "its files".to_owned() } else { lost.join(" and ") },
        );
        self.warn(WarningKind::WritesLost, message);
    }

    pub(crate) fn refused(&mut self) {
        self.is_refused = true;
    }

    pub(crate) fn other_model(&mut self, line: &Line<'_>) {
        let name = |path| line.short_text(path).unwrap_or_else(|| "another model".to_owned());
        let (original, fallback) = (name("original_model"), name("fallback_model"));
        self.warn(
            WarningKind::Refusal,
            format!("{original} refused, and {fallback} answered in its place"),
        );
    }

    pub(crate) fn extra_usage(&mut self, kind: Option<&str>) {
        let kind = kind.unwrap_or("a limit");
        self.warn(
            WarningKind::ExtraUsage,
            format!("{kind} is used up: paid extra usage (overage) takes its place"),
        );
    }

    /// The CLI answers itself, such as to a command of its own.
    pub(crate) fn local_answer(&mut self, text: Option<String>) {
        self.local_answer = text;
    }

    pub(crate) fn result(&mut self, line: &Line<'_>, result: &ClaudeResult) {
        self.has_unfinished_result = false;
        self.stop_reason = line.short_text("stop_reason");
        if result.result_truncated {
            self.warn(
                WarningKind::ResultTruncated,
                "the answer is longer than what is kept of it".to_owned(),
            );
        }
    }

    pub(crate) fn cli_version(&self) -> Option<&str> {
        self.facts.cli_version.as_deref()
    }

    pub(crate) fn facts(&self) -> ClaudeFacts {
        self.facts.clone()
    }

    /// Once for each thing that is to be said.
    fn warn(&mut self, kind: WarningKind, message: String) {
        add(&mut self.warnings, kind, message);
    }

    /// Why the work cannot have been done although the last result is good, and everything that is to be said.
    pub(crate) fn conclude(
        &self,
        activity: &Activity,
        answers: &Answers,
        result: Option<&ClaudeResult>,
    ) -> (Option<Verdict>, Vec<Warning>) {
        let mut end = End { warnings: self.warnings.clone(), shortfall: None };
        if self.has_unfinished_result {
            let message =
                "the output ended in the middle of the result line: the result is cut off";
            end.warn(WarningKind::ResultTruncated, message.to_owned());
        }
        if !self.mcp_servers.is_empty() {
            let names = self.mcp_servers.join(", ");
            end.warn(WarningKind::McpServer, format!("MCP servers that did not start: {names}"));
        }
        if !self.plugins.is_empty() {
            let names = self.plugins.join(", ");
            end.warn(WarningKind::Plugin, format!("plugins that did not load: {names}"));
        }
        let Some(result) = result else { return (None, end.warnings) };
        end.denials(activity);
        end.background(activity);
        if !result.is_error {
            self.conclude_good(&mut end, result);
        }
        if answers.added() > 0 {
            let message = match answers.added() {
                1 => "the result of a notice from the background is added to the answer: one of them may be chatter".to_owned(),
                added => format!("the results of {added} notices from the background are added to the answer: some may be chatter"),
            };
            end.warn(WarningKind::SeveralResults, message);
        }
        (end.shortfall.filter(|_| !result.is_error), end.warnings)
    }

    fn conclude_good(&self, end: &mut End, result: &ClaudeResult) {
        let is_refusal = self.is_refused || self.stop_reason.as_deref() == Some("refusal");
        if is_refusal {
            end.fall_short(WarningKind::Refusal, "the model refused to answer".to_owned());
        }
        self.empty_answer(end, result);
        end.terminal_reason(result.terminal_reason.as_deref());
        if self.stop_reason.as_deref() == Some("max_tokens") {
            let message = "the answer was cut off at the model's limit of output tokens";
            end.warn(WarningKind::ResultTruncated, message.to_owned());
        }
    }

    fn empty_answer(&self, end: &mut End, result: &ClaudeResult) {
        let text = result.result.as_deref().unwrap_or_default().trim();
        let is_without_turn = result.num_turns == Some(0);
        // How 2.1.197 answers to a slash command that it does not know; newer versions ask the model.
        let is_unknown_command = ["Unknown command", "Unknown slash command", "Unknown skill"]
            .iter()
            .any(|words| text.starts_with(words));
        if is_without_turn && is_unknown_command {
            return end.fall_short(
                WarningKind::EmptyAnswer,
                format!("no turn was taken: {}", short(text)),
            );
        }
        if !text.is_empty() || result.result_truncated {
            return;
        }
        let said = self.local_answer.as_deref().map(str::trim).filter(|said| !said.is_empty());
        let said = said.map(|said| format!("; the CLI said: {}", short(said))).unwrap_or_default();
        if is_without_turn {
            let message =
                format!("no turn was taken and the answer is empty: nothing was done{said}");
            end.fall_short(WarningKind::EmptyAnswer, message);
        } else {
            end.warn(WarningKind::EmptyAnswer, format!("the answer is empty{said}"));
        }
    }
}

/// What is being concluded.
struct End {
    warnings: Vec<Warning>,
    shortfall: Option<Verdict>,
}

impl End {
    fn warn(&mut self, kind: WarningKind, message: String) {
        add(&mut self.warnings, kind, message);
    }

    fn fall_short(&mut self, kind: WarningKind, message: String) {
        self.shortfall.get_or_insert(Verdict::Incomplete);
        self.warn(kind, message);
    }

    fn denials(&mut self, activity: &Activity) {
        let tools = activity.denied_tools();
        if tools.is_empty() {
            return;
        }
        let mut names: Vec<&str> = tools.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(NAMED_LIMIT);
        let calls = if tools.len() == 1 { "a call" } else { "calls" };
        let mut message = format!("permission was denied to {calls} of {}", names.join(", "));
        if activity.is_all_denied() {
            self.shortfall = Some(Verdict::Denied);
            message.push_str(", and no other tool ran");
        }
        self.warn(WarningKind::PermissionDenied, message);
    }

    fn background(&mut self, activity: &Activity) {
        let unfinished = activity.unfinished();
        if unfinished.is_empty() {
            return;
        }
        let names = activity::named(&unfinished);
        let message = format!("background work was unfinished when the CLI ended: {names}");
        if unfinished.iter().all(|work| work.is_command) {
            self.warn(WarningKind::BackgroundUnfinished, message);
        } else {
            self.fall_short(WarningKind::BackgroundUnfinished, message);
        }
    }

    /// A good result that names another reason than that the work was over.
    fn terminal_reason(&mut self, reason: Option<&str>) {
        let message = |reason: &str| format!("the CLI's loop ended with “{}”", short(reason));
        match reason {
            None | Some("completed") => {}
            Some(
                reason @ ("aborted_streaming"
                | "aborted_tools"
                | "tool_deferred"
                | "tool_deferred_unavailable"
                | "background_requested"
                | "turn_setup_failed"
                | "malformed_tool_use_exhausted"
                | "structured_output_retry_exhausted"
                | "rapid_refill_breaker"
                | "blocking_limit"
                | "prompt_too_long"
                | "image_error"
                | "model_error"
                | "api_error"
                | "max_turns"
                | "budget_exhausted"),
            ) => self.fall_short(WarningKind::TerminalReason, message(reason)),
            // A hook of the user's has ended it; or a word that is not known.
            Some(reason) => self.warn(WarningKind::TerminalReason, message(reason)),
        }
    }
}

fn add(warnings: &mut Vec<Warning>, kind: WarningKind, message: String) {
    let message: String = message.chars().take(3 * TEXT_CHARS).collect();
    let bytes: usize = warnings.iter().map(|warning| warning.message.len()).sum();
    let has_room = warnings.len() < WARNINGS_LIMIT && bytes + message.len() <= WARNINGS_BYTES_LIMIT;
    let warning = Warning { kind, message };
    if has_room && !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(TEXT_CHARS).collect()
}
