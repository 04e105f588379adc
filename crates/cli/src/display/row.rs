//! A task of a batch as table and summary show it.

use std::time::Duration;

use cc_protocol::batch::BatchRow;
use serde::Serialize;
use serde_json::Value;

use super::text;

/// What is unknown, or has no meaning for its fate, is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Place in the task file, from 1.
    pub(crate) number: usize,
    pub(crate) title: String,
    /// In the wire's words.
    pub(crate) verdict: &'static str,
    pub(crate) fate: Fate,
    pub(crate) exit_code: Option<i32>,
    /// Of the task itself; of its last attempt.
    pub(crate) duration: Option<Duration>,
    /// Processes that outlived the main one and were killed.
    pub(crate) killed_leftovers: Option<u64>,
    /// How often it was started.
    pub(crate) attempts: u64,
    /// Attempts that failed transiently and were repeated.
    pub(crate) retries: u64,
    pub(crate) cost_usd: f64,
    /// Attempts of agents whose cost is unknown.
    pub(crate) unknown_costs: u64,
    pub(crate) tokens: Tokens,
    /// The error; it stands below the table.
    pub(crate) remark: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// The end of its output, if it did not succeed.
    pub(crate) last_words: Option<String>,
}

/// The result of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    Succeeded,
    Failed,
    /// Its end was not waited for, or was not reported.
    Unknown,
    #[default]
    NotRun,
}

impl Row {
    pub(crate) fn is_success(&self) -> bool {
        self.fate == Fate::Succeeded
    }

    /// `succeeded (2 warnings)`.
    pub(crate) fn verdict_with_warnings(&self) -> String {
        match self.warnings.len() {
            0 => self.verdict.to_owned(),
            count => format!("{} ({})", self.verdict, text::count(count, "warning")),
        }
    }
}

/// Token counts as the CLI reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tokens {
    /// Read for the first time.
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Read, and kept in the API's cache.
    pub(crate) cache_creation: u64,
    /// Read from there.
    pub(crate) cache_read: u64,
}

impl Tokens {
    /// From the `usage` of a result; a missing count is 0.
    pub(crate) fn of(usage: &Value) -> Self {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        Self {
            input: count("input_tokens"),
            output: count("output_tokens"),
            cache_creation: count("cache_creation_input_tokens"),
            cache_read: count("cache_read_input_tokens"),
        }
    }

    /// Of all attempts of a task, subagents included; an older supervisor reports only the last one.
    pub(crate) fn of_row(row: &BatchRow) -> Self {
        if row.input_tokens == 0 && row.output_tokens == 0 {
            return row.usage.as_ref().map(Self::of).unwrap_or_default();
        }
        let cached = row.cache_creation_tokens.saturating_add(row.cache_read_tokens);
        Self {
            input: row.input_tokens.saturating_sub(cached),
            output: row.output_tokens,
            cache_creation: row.cache_creation_tokens,
            cache_read: row.cache_read_tokens,
        }
    }

    /// All that went to the model.
    pub(super) fn read(self) -> u64 {
        self.input.saturating_add(self.cache_creation).saturating_add(self.cache_read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_read_from_a_result_whatever_it_lacks() {
        let usage = json!({
            "input_tokens": 4, "output_tokens": 5, "cache_creation_input_tokens": 6,
            "cache_read_input_tokens": 7, "service_tier": "standard",
        });
        let tokens = Tokens { input: 4, output: 5, cache_creation: 6, cache_read: 7 };
        assert_eq!(Tokens::of(&usage), tokens);
        assert_eq!(Tokens::of(&json!({"input_tokens": -1})), Tokens::default());
        assert_eq!(Tokens::of(&json!(null)), Tokens::default());
    }
}
