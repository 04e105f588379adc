//! The attempts of one task of a batch: what is stored of it beside its state.
//!
//! The JSON of `Attempts` is the column `record` of a task's row: its field names are a storage format. In memory the
//! owner keeps it without long texts, which are read from the database when they are shown. Only owners write it.

use cc_batch::{Scope, retry::Class};
use cc_events::{ClaudeResultPart, Verdict, Warning};
use cc_protocol::batch::{
    AttemptClass, BatchAttempt, EARLIER_TAIL_BYTES_LIMIT, RESULT_BYTES_LIMIT,
    STRUCTURED_OUTPUT_BYTES_LIMIT,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    batch::{
        attempt_end::JobEnd,
        last_words::last_words,
        money::{SessionTotal, Sums},
    },
    config::limits,
};

/// Costs, durations, leftovers and tokens are sums over all attempts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// At most [`limits::BATCH_ATTEMPTS_SHOWN`], the newest last.
    #[serde(rename = "attempts")]
    pub(super) newest: Vec<BatchAttempt>,
    /// How many attempts there were.
    pub(super) starts: u64,
    /// `None` while the last attempt runs.
    pub(super) last: Option<LastAttempt>,
    /// Why there was no attempt, or why the last one has a verdict that its own end does not explain.
    pub(super) error: Option<String>,
    /// The text of the limit that the last attempt met, or what it could not be started without.
    pub(super) limit: Option<String>,
    /// The models that this limit concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit_scope: Scope,
    /// What went wrong with the last attempt, in short, if it concerns other tasks too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) obstacle: Option<String>,
    /// The totals of the last attempt's conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<SessionTotal>,
    pub(super) cost_usd: Option<f64>,
    /// How many attempts of agents reported no cost.
    #[serde(default)]
    pub(super) unknown_costs: u64,
    pub(super) duration_ms: Option<u64>,
    pub(super) killed_leftovers: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    /// The part of `input_tokens` that was read from a cache.
    #[serde(default)]
    pub(super) cache_read_tokens: u64,
    /// The part of `input_tokens` that was written to a cache.
    #[serde(default)]
    pub(super) cache_creation_tokens: u64,
    /// Warnings of the last attempt.
    #[serde(default)]
    pub(super) warnings: u64,
    /// Of the last attempt.
    pub(super) timeout_s: Option<f64>,
    /// Why this timeout.
    pub(super) timeout_why: Option<String>,
}

/// What is shown of the last attempt's end, with its texts cut to the size of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LastAttempt {
    pub(super) error: Option<String>,
    /// The beginning of its result.
    pub(super) result: Option<String>,
    pub(super) result_truncated: bool,
    /// The text that `result` is the beginning of was itself cut.
    #[serde(default)]
    pub(super) whole_result_truncated: bool,
    pub(super) is_error: Option<bool>,
    pub(super) num_turns: Option<u64>,
    pub(super) usage: Option<Value>,
    pub(super) claude_session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<Warning>,
    /// The answer to a JSON schema, if it is short enough for a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) structured_output: Option<Value>,
    /// The CLI's word for a failure before its first turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) startup_failure_reason: Option<String>,
    /// The CLI's word for the API's refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) api_error: Option<String>,
    /// Names of tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) permission_denials: Vec<String>,
    /// The beginnings of all results, if there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<ClaudeResultPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cli_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) api_key_source: Option<String>,
}

impl Attempts {
    pub(super) fn begin(&mut self, task_id: &str, attempt: u32, now_ms: u64) {
        self.last = None;
        self.error = None;
        self.limit = None;
        self.warnings = 0;
        self.limit_scope = None;
        self.obstacle = None;
        self.starts += 1;
        let excess = (self.newest.len() + 1).saturating_sub(limits::BATCH_ATTEMPTS_SHOWN);
        self.newest.drain(..excess);
        self.newest.push(BatchAttempt::accepted(task_id.to_owned(), attempt, now_ms));
    }

    /// A text that the stored JSON contains if and only if it has the total of this conversation: the database is
    /// searched for it.
    #[must_use]
    pub(super) fn session_mark(claude_session_id: &str) -> String {
        let id = Value::from(claude_session_id);
        format!("\"session\":{{\"claude_session_id\":{id},")
    }

    pub(super) fn never_began(&mut self, task_id: &str) {
        if self.newest.last().is_some_and(|attempt| attempt.task_id == task_id) {
            self.newest.pop();
            self.starts = self.starts.saturating_sub(1);
        }
    }

    /// Notes an attempt's end, once, and adds up what it cost.
    pub(super) fn end(&mut self, task_id: &str, end: &JobEnd) {
        let Some(attempt) = self.newest.last_mut().filter(|last| last.task_id == task_id) else {
            return;
        };
        if attempt.ended_ms.is_some() {
            return;
        }
        attempt.ended_ms = Some(end.at_ms);
        attempt.verdict = Some(end.attempt.verdict);
        attempt.reason = end.completed.as_ref().map(|completed| completed.reason);
        attempt.exit_code = end.completed.as_ref().map(|completed| completed.exit_code);
        attempt.output_bytes = end.completed.as_ref().map(|completed| completed.output.bytes);
        attempt.class = class_of(end.attempt.class);
        attempt.stdout_tail.clone_from(&end.stdout_tail);
        attempt.stderr_tail.clone_from(&end.stderr_tail);
        self.warnings = end.warnings().len() as u64;
        if let Some(completed) = &end.completed {
            *self.duration_ms.get_or_insert(0) += completed.duration_ms;
            self.killed_leftovers += completed.killed_leftovers;
        }
        self.limit.clone_from(&end.limit);
        self.limit_scope.clone_from(&end.limit_scope);
        let concerns_others = end.dead_end.is_some() || end.attempt.sameness.is_some();
        self.obstacle = end
            .error
            .as_ref()
            .filter(|_| concerns_others)
            .map(|error| error.chars().take(limits::BATCH_OBSTACLE_CHARS).collect());
        self.last = Some(last_of(end));
        self.unknown_costs += u64::from(end.is_cost_unknown());
        let Some(result) = &end.result else { return };
        let sums = end.bill.as_ref().map_or_else(|| Sums::of_result(result), |bill| bill.sums);
        if let Some(cost_usd) = sums.cost_usd {
            *self.cost_usd.get_or_insert(0.0) += cost_usd;
        }
        self.input_tokens = self.input_tokens.saturating_add(sums.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(sums.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(sums.cache_read_tokens);
        self.cache_creation_tokens =
            self.cache_creation_tokens.saturating_add(sums.cache_creation_tokens);
        self.session = end.bill.as_ref().and_then(|bill| bill.total.clone());
    }

    /// Notes the state machine's decision on the last attempt: when the next one begins, and the verdict, which may
    /// differ from that of the attempt's own end.
    pub(super) fn conclude(&mut self, wait_until_ms: Option<u64>, verdict: Verdict) {
        let Some(attempt) = self.newest.last_mut() else { return };
        attempt.wait_until_ms = wait_until_ms;
        attempt.verdict = Some(verdict);
        // An attempt that is retried was not final, whatever its own class is.
        if wait_until_ms.is_some() && attempt.class == Some(AttemptClass::Final) {
            attempt.class = Some(AttemptClass::Transient);
        }
    }

    /// A copy without long texts.
    #[must_use]
    pub(super) fn short(&self) -> Self {
        let mut short = Self { last: None, error: None, ..self.clone() };
        for attempt in &mut short.newest {
            attempt.stdout_tail = None;
            attempt.stderr_tail = None;
        }
        short
    }

    /// Whether last words of attempts are only in the database.
    #[must_use]
    pub(super) fn is_short(&self) -> bool {
        let lacks = |attempt: &BatchAttempt| {
            attempt.output_bytes.is_some_and(|bytes| bytes > 0)
                && attempt.stdout_tail.is_none()
                && attempt.stderr_tail.is_none()
        };
        self.newest.iter().any(lacks)
    }

    /// Restores the last words of attempts from the stored JSON; earlier attempts keep less of them than the newest.
    pub(super) fn recall(&mut self, stored: &Self) {
        let newest = self.newest.len().saturating_sub(1);
        for (index, attempt) in self.newest.iter_mut().enumerate() {
            let same = |other: &&BatchAttempt| other.task_id == attempt.task_id;
            if attempt.stdout_tail.is_none()
                && attempt.stderr_tail.is_none()
                && let Some(stored) = stored.newest.iter().find(same)
            {
                attempt.stdout_tail.clone_from(&stored.stdout_tail);
                attempt.stderr_tail.clone_from(&stored.stderr_tail);
            }
            if index < newest {
                for tail in [&mut attempt.stdout_tail, &mut attempt.stderr_tail] {
                    let words = tail.take();
                    *tail =
                        words.and_then(|words| last_words(&words, EARLIER_TAIL_BYTES_LIMIT, false));
                }
            }
        }
    }
}

fn class_of(class: Class) -> Option<AttemptClass> {
    match class {
        Class::Done => None,
        Class::Transient { .. } | Class::Interrupted => Some(AttemptClass::Transient),
        Class::Limit { .. } => Some(AttemptClass::Limit),
        Class::Unavailable { .. } => Some(AttemptClass::Unavailable),
        Class::Lost | Class::TimedOut | Class::Never { .. } => Some(AttemptClass::Final),
    }
}

fn last_of(end: &JobEnd) -> LastAttempt {
    let result = end.result.as_deref();
    let text = end.text.as_deref();
    let cut = text.map(|text| &text[..text.floor_char_boundary(RESULT_BYTES_LIMIT)]);
    let was_cut = result.is_some_and(|result| result.result_truncated) || end.text_truncated;
    let facts = end.completed.as_ref().and_then(|completed| completed.claude.as_deref());
    let word = |word: &Option<String>| word.as_deref().map(|word| shortened(word, WORD_CHARS));
    LastAttempt {
        error: end.error.clone(),
        result: cut.map(str::to_owned),
        whole_result_truncated: was_cut,
        result_truncated: was_cut || cut.map(str::len) != text.map(str::len),
        is_error: result.map(|result| result.is_error),
        num_turns: result.and_then(|result| result.num_turns),
        usage: result.and_then(|result| result.usage.clone()),
        claude_session_id: end.claude_session_id.clone(),
        warnings: end.warnings().iter().map(short_warning).collect(),
        structured_output: result
            .and_then(|result| result.structured_output.clone())
            .filter(is_short),
        startup_failure_reason: result.and_then(|result| word(&result.startup_failure_reason)),
        api_error: result.and_then(|result| word(&result.api_error)),
        permission_denials: result.map_or_else(Vec::new, |result| {
            result.permission_denials.iter().map(|tool| shortened(tool, WORD_CHARS)).collect()
        }),
        parts: result.map_or_else(Vec::new, |result| result.parts.iter().map(short_part).collect()),
        cli_version: facts.and_then(|facts| word(&facts.cli_version)),
        api_key_source: facts.and_then(|facts| word(&facts.api_key_source)),
    }
}

/// Characters of a word of the CLI that a row keeps.
const WORD_CHARS: usize = 100;

fn shortened(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn short_warning(warning: &Warning) -> Warning {
    let message = shortened(&warning.message, limits::BATCH_WARNING_CHARS);
    Warning { kind: warning.kind, message }
}

fn short_part(part: &ClaudeResultPart) -> ClaudeResultPart {
    let end = |text: &str| text.floor_char_boundary(limits::BATCH_PART_BYTES);
    let result = part.result.as_deref().map(|text| text[..end(text)].to_owned());
    let origin = part.origin.as_deref().map(|origin| shortened(origin, WORD_CHARS));
    ClaudeResultPart { origin, result, ..part.clone() }
}

fn is_short(value: &Value) -> bool {
    value.to_string().len() <= STRUCTURED_OUTPUT_BYTES_LIMIT
}

#[cfg(test)]
mod tests;
