//! What is on record of a task of a batch beside its state: its attempts, and what the last one said.
//!
//! Stored with the state. In memory the owner keeps it without the long texts: those are read from the database
//! by whoever shows them. Only owners write records.

use cc_batch::{Scope, retry::Class};
use cc_events::{ClaudeResultPart, Verdict, Warning};
use cc_protocol::batch::{
    AttemptClass, BatchAttempt, EARLIER_TAIL_BYTES_LIMIT, RESULT_BYTES_LIMIT,
    STRUCTURED_OUTPUT_BYTES_LIMIT,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::{
    attempt_end::End,
    last_words::last_words,
    money::{SessionTotal, Sums},
};
use crate::config::limits;

/// The record of one task of a batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The newest ones; at most [`limits::BATCH_ATTEMPTS_SHOWN`].
    pub attempts: Vec<BatchAttempt>,
    /// How many there were.
    pub starts: u64,
    /// What the last attempt's end says; `None` while it runs.
    pub last: Option<Last>,
    /// Why there was no attempt, or why the last one has a verdict that its own end does not explain.
    pub error: Option<String>,
    /// The words of the limit that the last attempt met, or of what it could not be started without.
    pub limit: Option<String>,
    /// Whom that limit concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_scope: Scope,
    /// What went wrong with the last attempt, in short, where it concerns others too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// What the conversation of the last attempt has cost altogether.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionTotal>,
    /// Of all attempts, US dollars.
    pub cost_usd: Option<f64>,
    /// Attempts of agents whose cost nobody said.
    #[serde(default)]
    pub unknown_costs: u64,
    /// Of all attempts, milliseconds.
    pub duration_ms: Option<u64>,
    /// Of all attempts.
    pub killed_leftovers: u64,
    /// Of all attempts.
    pub input_tokens: u64,
    /// Of all attempts.
    pub output_tokens: u64,
    /// Of `input_tokens`, those that were read from a cache.
    #[serde(default)]
    pub cache_read_tokens: u64,
    /// Of `input_tokens`, those that were put into a cache.
    #[serde(default)]
    pub cache_creation_tokens: u64,
    /// How many warnings the last attempt's end has.
    #[serde(default)]
    pub warnings: u64,
    /// Of the last attempt, seconds.
    pub timeout_s: Option<f64>,
    /// Why this one.
    pub timeout_why: Option<String>,
}

/// What an attempt's end says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// For people: what went wrong.
    pub error: Option<String>,
    /// The text of its result, cut.
    pub result: Option<String>,
    /// It was cut.
    pub result_truncated: bool,
    /// The text of which it is the beginning was not all that the task said, either.
    #[serde(default)]
    pub whole_result_truncated: bool,
    /// The CLI's own judgement.
    pub is_error: Option<bool>,
    /// Turns.
    pub num_turns: Option<u64>,
    /// As they came.
    pub usage: Option<Value>,
    /// For `--resume`.
    pub claude_session_id: Option<String>,
    /// What a person should know beside the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The answer to a JSON schema, where it is short enough for a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<Value>,
    /// The CLI's word for a failure before its first turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_failure_reason: Option<String>,
    /// The CLI's word for the API's refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_error: Option<String>,
    /// Names of tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_denials: Vec<String>,
    /// Beginnings of all results, where there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ClaudeResultPart>,
    /// The CLI's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli_version: Option<String>,
    /// In the CLI's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_source: Option<String>,
}

impl Record {
    /// An attempt was admitted.
    pub fn begin(&mut self, task_id: &str, attempt: u32, now_ms: u64) {
        self.last = None;
        self.error = None;
        self.limit = None;
        self.warnings = 0;
        self.limit_scope = None;
        self.obstacle = None;
        self.starts += 1;
        let excess = (self.attempts.len() + 1).saturating_sub(limits::BATCH_ATTEMPTS_SHOWN);
        self.attempts.drain(..excess);
        self.attempts.push(BatchAttempt {
            task_id: task_id.to_owned(),
            attempt,
            started_ms: now_ms,
            ended_ms: None,
            verdict: None,
            reason: None,
            exit_code: None,
            output_bytes: None,
            class: None,
            wait_until_ms: None,
            stdout_tail: None,
            stderr_tail: None,
        });
    }

    /// The attempt of this id never began.
    pub fn never_began(&mut self, task_id: &str) {
        if self.attempts.last().is_some_and(|attempt| attempt.task_id == task_id) {
            self.attempts.pop();
            self.starts = self.starts.saturating_sub(1);
        }
    }

    /// The attempt of this id has ended.
    pub fn end(&mut self, task_id: &str, end: &End) {
        let Some(attempt) = self.attempts.last_mut().filter(|last| last.task_id == task_id) else {
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

    /// What the state machine made of the last attempt: when the next one begins, and a verdict that is not
    /// what the attempt's own end says.
    pub fn conclude(&mut self, wait_until_ms: Option<u64>, verdict: Verdict) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        attempt.wait_until_ms = wait_until_ms;
        attempt.verdict = Some(verdict);
        // What is tried again was not final, whatever its class is by itself.
        if wait_until_ms.is_some() && attempt.class == Some(AttemptClass::Final) {
            attempt.class = Some(AttemptClass::Transient);
        }
    }

    /// The same without what may be long.
    #[must_use]
    pub fn short(&self) -> Self {
        let mut short = Self { last: None, error: None, ..self.clone() };
        for attempt in &mut short.attempts {
            attempt.stdout_tail = None;
            attempt.stderr_tail = None;
        }
        short
    }

    /// Whether the record that is stored has last words of attempts that this one lacks.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let lacks = |attempt: &BatchAttempt| {
            attempt.output_bytes.is_some_and(|bytes| bytes > 0)
                && attempt.stdout_tail.is_none()
                && attempt.stderr_tail.is_none()
        };
        self.attempts.iter().any(lacks)
    }

    /// Takes the last words of attempts from the record that is stored; of earlier ones less than of the newest.
    pub fn recall(&mut self, stored: &Self) {
        let newest = self.attempts.len().saturating_sub(1);
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            let same = |other: &&BatchAttempt| other.task_id == attempt.task_id;
            if attempt.stdout_tail.is_none()
                && attempt.stderr_tail.is_none()
                && let Some(stored) = stored.attempts.iter().find(same)
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

fn last_of(end: &End) -> Last {
    let result = end.result.as_deref();
    let text = end.text.as_deref();
    let cut = text.map(|text| &text[..text.floor_char_boundary(RESULT_BYTES_LIMIT)]);
    let was_cut = result.is_some_and(|result| result.result_truncated) || end.text_truncated;
    let facts = end.completed.as_ref().and_then(|completed| completed.claude.as_deref());
    let word = |word: &Option<String>| word.as_deref().map(|word| shortened(word, WORD_CHARS));
    Last {
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

/// Longest word of the CLI in a row, characters.
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
