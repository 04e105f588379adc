//! What a batch cost: the sum of its rows.

use std::time::Duration;

use cc_protocol::batch::{BatchSummary, usd_at_least};

use super::{
    row::{Row, Tokens},
    text,
};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    /// Time of the tasks themselves.
    pub(crate) task_time: Duration,
    /// As the CLI reports it.
    pub(crate) cost_usd: f64,
    /// Attempts whose cost is unknown: `cost_usd` is a lower bound where there are any.
    pub(crate) unknown_costs: u64,
    pub(crate) tokens: Tokens,
    /// See [`Row`].
    pub(crate) retries: u64,
    /// Processes that outlived the main one of their task.
    pub(crate) killed_leftovers: u64,
    /// All but the time is the supervisor's own count, which already includes every row.
    is_settled: bool,
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
        self.task_time += row.duration.unwrap_or_default();
        if self.is_settled {
            return;
        }
        self.cost_usd += row.cost_usd;
        self.unknown_costs = self.unknown_costs.saturating_add(row.unknown_costs);
        self.retries += row.retries;
        self.killed_leftovers += row.killed_leftovers.unwrap_or_default();
        let sum = &mut self.tokens;
        sum.input = sum.input.saturating_add(row.tokens.input);
        sum.output = sum.output.saturating_add(row.tokens.output);
        sum.cache_creation = sum.cache_creation.saturating_add(row.tokens.cache_creation);
        sum.cache_read = sum.cache_read.saturating_add(row.tokens.cache_read);
    }

    /// Takes the supervisor's count, which includes every attempt and not only the last ones.
    pub(crate) fn settle(&mut self, batch: &BatchSummary) {
        self.is_settled = true;
        self.cost_usd = batch.cost_usd;
        self.unknown_costs = batch.unknown_costs;
        let cached = batch.cache_creation_tokens.saturating_add(batch.cache_read_tokens);
        self.tokens = Tokens {
            input: batch.input_tokens.saturating_sub(cached),
            output: batch.output_tokens,
            cache_creation: batch.cache_creation_tokens,
            cache_read: batch.cache_read_tokens,
        };
        self.retries = batch.retries;
        self.killed_leftovers = batch.killed_leftovers;
    }

    /// Whether there is anything to say of cost, tokens and retries.
    pub(crate) fn is_anything_spent(&self) -> bool {
        self.cost_usd > 0.0
            || self.unknown_costs > 0
            || self.tokens != Tokens::default()
            || self.retries > 0
    }

    /// `1.23 USD`, `at least 1.23 USD (cost of 2 attempts unknown)`.
    pub(crate) fn cost(&self) -> String {
        let cost = usd_at_least(self.cost_usd, self.unknown_costs);
        match usize::try_from(self.unknown_costs) {
            Ok(0) => cost,
            Ok(unknown) if self.cost_usd > 0.0 => {
                format!("{cost} (that of {} is unknown)", text::count(unknown, "attempt"))
            }
            Ok(_) | Err(_) => cost,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::summary;

    #[test]
    fn what_the_supervisor_has_counted_is_counted_once_whenever_the_rows_come() {
        let row = Row {
            cost_usd: 0.01,
            tokens: Tokens { input: 1, output: 2, ..Tokens::default() },
            duration: Some(Duration::from_secs(1)),
            ..Row::default()
        };
        let batch = BatchSummary {
            cost_usd: 0.03,
            input_tokens: 40,
            output_tokens: 6,
            cache_read_tokens: 30,
            cache_creation_tokens: 7,
            ..summary("b")
        };
        let unsaid = Row { unknown_costs: 2, ..Row::default() };
        let mut totals = Totals::of(std::slice::from_ref(&unsaid));
        assert!(totals.is_anything_spent());
        assert_eq!(totals.cost(), "unknown");
        totals.add(&row);
        assert_eq!(totals.cost(), "at least 0.01 USD (that of 2 attempts is unknown)");
        let mut totals = Totals::default();
        totals.add(&row);
        totals.settle(&batch);
        // A summary comes before the rows that it counts.
        totals.add(&row);
        totals.add(&row);
        assert_eq!(totals.cost(), "0.03 USD");
        assert_eq!(totals.token_counts(), "40 in (30 of them cached), 6 out");
        assert_eq!(totals.task_time, Duration::from_secs(3));
    }
}
