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
mod tests {
    use cc_events::{ClaudeResult, WarningKind};
    use cc_protocol::batch::TAIL_BYTES_LIMIT;
    use serde_json::json;

    use super::*;
    use crate::batch::attempt_end::{Collector, tests::completed};

    fn end(verdict: Verdict) -> End {
        let mut end = Collector::new().end(Some(completed(verdict, 1)), 20);
        end.result = Some(Box::new(ClaudeResult {
            total_cost_usd: Some(0.5),
            usage: Some(
                json!({"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 4}),
            ),
            ..ClaudeResult::default()
        }));
        end
    }

    #[test]
    fn attempts_add_up_and_an_end_counts_once_and_only_for_its_own_attempt() {
        let mut record = Record::default();
        record.begin("a", 1, 10);
        record.end("other", &end(Verdict::Failed));
        assert_eq!(record.attempts[0].ended_ms, None);
        record.end("a", &end(Verdict::Failed));
        record.end("a", &end(Verdict::Failed));
        record.conclude(Some(99), Verdict::Failed);
        record.begin("b", 2, 100);
        record.end("b", &end(Verdict::Failed));
        assert_eq!((record.cost_usd, record.duration_ms), (Some(1.0), Some(20)));
        assert_eq!((record.input_tokens, record.output_tokens), (6, 8));
        assert_eq!((record.cache_read_tokens, record.cache_creation_tokens), (4, 0));
        assert_eq!((record.starts, record.killed_leftovers), (2, 2));
        let attempts = &record.attempts;
        // What was tried again was not final after all.
        assert_eq!(attempts[0].class, Some(AttemptClass::Transient));
        assert_eq!((attempts[0].wait_until_ms, attempts[1].wait_until_ms), (Some(99), None));
        assert_eq!(attempts[1].class, Some(AttemptClass::Final));
    }

    #[test]
    fn an_agent_whose_cost_nobody_said_is_counted_and_a_program_that_is_none_is_not() {
        let mut record = Record::default();
        let mut unsaid = Collector::new().end(Some(completed(Verdict::TimedOut, -15)), 20);
        record.begin("program", 1, 10);
        record.end("program", &unsaid);
        assert_eq!((record.cost_usd, record.unknown_costs), (None, 0));
        unsaid.claude_session_id = Some("c".to_owned());
        record.begin("agent", 1, 10);
        record.end("agent", &unsaid);
        assert_eq!((record.cost_usd, record.unknown_costs), (None, 1));
        record.begin("said", 2, 10);
        record.end("said", &end(Verdict::Failed));
        assert_eq!((record.cost_usd, record.unknown_costs), (Some(0.5), 1));
    }

    #[test]
    fn earlier_attempts_keep_less_of_their_last_words_and_memory_keeps_none() {
        let with_words = |words: &str| {
            let mut end = end(Verdict::Failed);
            end.completed.as_mut().unwrap().output.bytes = words.len() as u64;
            end.stderr_tail = Some(words.to_owned());
            end
        };
        let long: String = (0..1_000).map(|number| format!("{number}\n")).collect();
        let mut record = Record::default();
        record.begin("a", 1, 10);
        record.end("a", &with_words(&long));
        let stored = record.clone();
        assert!(!record.is_short());
        record = record.short();
        assert_eq!(record.attempts[0].stderr_tail, None);
        assert!(record.is_short());
        record.begin("b", 2, 20);
        record.end("b", &with_words("second"));
        record.recall(&stored);
        let tails: Vec<&str> =
            record.attempts.iter().map(|attempt| attempt.stderr_tail.as_deref().unwrap()).collect();
        assert!(tails[0].ends_with("998\n999\n") && tails[0].len() <= EARLIER_TAIL_BYTES_LIMIT);
        assert_eq!(tails[1], "second");
        assert!(!record.is_short());
    }

    /// What is longest in JSON: each byte of it is written as six.
    fn longest(bytes: usize) -> String {
        "\u{1}".repeat(bytes)
    }

    #[test]
    fn a_row_fits_a_message_whatever_a_task_has_said() {
        let quotes = |bytes: usize| Some("\"".repeat(bytes));
        let mut end = end(Verdict::Failed);
        let part = ClaudeResultPart {
            origin: Some(longest(5_000)),
            is_error: true,
            result: Some(longest(4_096)),
            num_turns: Some(u64::MAX),
        };
        end.text = Some(longest(RESULT_BYTES_LIMIT));
        end.error = Some(longest(limits::BATCH_ERROR_CHARS));
        end.stdout_tail = quotes(TAIL_BYTES_LIMIT);
        end.stderr_tail = quotes(TAIL_BYTES_LIMIT);
        end.result = Some(Box::new(ClaudeResult {
            usage: Some(json!("x".repeat(64 * 1024))),
            structured_output: Some(json!("x".repeat(STRUCTURED_OUTPUT_BYTES_LIMIT - 2))),
            startup_failure_reason: Some(longest(4_096)),
            api_error: Some(longest(4_096)),
            permission_denials: vec![longest(4_096); 64],
            parts: vec![part; 16],
            ..ClaudeResult::default()
        }));
        let warning = Warning { kind: WarningKind::BackgroundUnfinished, message: longest(4_096) };
        end.completed.as_mut().unwrap().warnings = vec![warning; 32];
        let mut record = Record::default();
        for number in 0..limits::BATCH_ATTEMPTS_SHOWN {
            let id = format!("0199f3a2-8001-7abc-9def-{number:012}");
            record.begin(&id, u32::MAX, u64::MAX);
            record.end(&id, &end);
            record.conclude(Some(u64::MAX), Verdict::ResourceLimit);
        }
        record.recall(&Record::default());
        let bytes = serde_json::to_string(&record).unwrap().len();
        assert!(bytes < limits::LIST_BYTES, "{bytes}");
        let last = record.last.unwrap();
        assert_eq!(last.warnings.len(), 32);
        assert!(last.structured_output.is_some());
    }

    #[test]
    fn an_attempt_that_never_began_leaves_no_trace_and_of_very_many_the_newest_are_kept() {
        let mut record = Record::default();
        record.begin("a", 1, 10);
        record.never_began("other");
        assert_eq!(record.starts, 1);
        record.never_began("a");
        assert_eq!(record, Record::default());
        for number in 0..=limits::BATCH_ATTEMPTS_SHOWN {
            record.begin(&number.to_string(), 1, 0);
        }
        assert_eq!(record.attempts.len(), limits::BATCH_ATTEMPTS_SHOWN);
        assert_eq!(record.attempts[0].task_id, "1");
        assert_eq!(record.starts, limits::BATCH_ATTEMPTS_SHOWN as u64 + 1);
    }
}
