//! What a batch cost, added up.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::{
    sequence::{Fate, Row},
    text,
};

/// Tokens by the agent's own count.
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
    /// From the `usage` of a result; what is missing is 0.
    pub(crate) fn of(usage: &Value) -> Self {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        Self {
            input: count("input_tokens"),
            output: count("output_tokens"),
            cache_creation: count("cache_creation_input_tokens"),
            cache_read: count("cache_read_input_tokens"),
        }
    }

    /// All that went to the model.
    fn read(self) -> u64 {
        self.input.saturating_add(self.cache_creation).saturating_add(self.cache_read)
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    /// Time of the tasks themselves.
    pub(crate) task_time: Duration,
    /// By the agent's own reckoning.
    pub(crate) cost_usd: f64,
    pub(crate) tokens: Tokens,
    /// API requests that the agent tried again.
    pub(crate) retries: u64,
    /// Processes that outlived the main one of their task.
    pub(crate) killed_leftovers: u64,
}

impl Totals {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.add(row);
        }
        totals
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.retries += row.attempt.as_ref().map_or(0, |attempt| attempt.retries);
        let Fate::Ended(ended) = &row.fate else { return };
        self.task_time += Duration::from_millis(ended.completed.duration_ms);
        self.killed_leftovers += ended.completed.killed_leftovers;
        let Some(result) = &ended.result else { return };
        self.cost_usd += result.total_cost_usd.unwrap_or_default();
        let tokens = result.usage.as_ref().map(Tokens::of).unwrap_or_default();
        let sum = &mut self.tokens;
        sum.input = sum.input.saturating_add(tokens.input);
        sum.output = sum.output.saturating_add(tokens.output);
        sum.cache_creation = sum.cache_creation.saturating_add(tokens.cache_creation);
        sum.cache_read = sum.cache_read.saturating_add(tokens.cache_read);
    }

    /// Whether there is anything to say of cost, tokens and retries.
    pub(crate) fn is_anything_spent(&self) -> bool {
        self.cost_usd > 0.0 || self.tokens != Tokens::default() || self.retries > 0
    }

    /// `1.23 USD`, with more digits for less.
    pub(crate) fn cost(&self) -> String {
        cost(self.cost_usd)
    }

    /// `12.3 k in (10.0 k of them cached), 678 out`.
    pub(crate) fn token_counts(&self) -> String {
        let cached = match self.tokens.cache_read {
            0 => String::new(),
            cached => format!(" ({} of them cached)", text::amount(cached)),
        };
        let (read, output) = (text::amount(self.tokens.read()), text::amount(self.tokens.output));
        format!("{read} in{cached}, {output} out")
    }
}

/// `1.23 USD`; cents would hide what a short task costs.
pub(crate) fn cost(usd: f64) -> String {
    if usd > 0.0 && usd < 1.0 { format!("{usd:.4} USD") } else { format!("{usd:.2} USD") }
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

    #[test]
    fn a_small_cost_is_no_zero() {
        assert_eq!(cost(0.0), "0.00 USD");
        assert_eq!(cost(0.0123), "0.0123 USD");
        assert_eq!(cost(12.345), "12.35 USD");
    }
}
