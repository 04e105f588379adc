//! Batches, their attempts, and the gates that their tasks wait at.

use cc_batch::retry::Class;
use cc_protocol::gate::GateSummary;
use prometheus_client::{
    metrics::gauge::Gauge,
    registry::{Registry, Unit},
};

use crate::ops::metrics::{
    label::{CounterBy, label},
    register::{add, add_in, set},
};

label!(
    /// What may follow an attempt.
    AttemptEnd, "class", {
        Done => "done",
        Transient => "transient",
        Limit => "limit",
        Unavailable => "unavailable",
        Interrupted => "interrupted",
        Lost => "lost",
        TimedOut => "timed_out",
        Final => "final",
    }
);

label!(
    /// What a token was.
    TokenKind, "kind", {
        /// Read by the model, and neither read from a cache nor written to one.
        Input => "input",
        CacheRead => "cache_read",
        CacheCreation => "cache_creation",
        Output => "output",
    }
);

#[derive(Debug)]
pub(crate) struct BatchMetrics {
    tokens: CounterBy<TokenKind>,
    attempts: CounterBy<AttemptEnd>,
    running: Gauge,
    gates_closed: Gauge,
    gate_closed_until: Gauge,
    gate_waiting: Gauge,
    gate_running: Gauge,
}

impl BatchMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            tokens: CounterBy::add(
                to,
                "batch_tokens",
                "Tokens that the attempts of batches have used, as far as their results say so",
            ),
            attempts: CounterBy::add(
                to,
                "batch_attempts",
                "Attempts and hooks of batches that ended, by what may follow",
            ),
            running: add(to, "batches_running", "Batches that are not over, now"),
            gates_closed: add(
                to,
                "gates_closed",
                "Gates of accounts that a limit has closed for tasks of batches, now",
            ),
            gate_closed_until: add_in(
                to,
                "gate_closed_until",
                Unit::Seconds,
                "When the last of the closed gates opens, since the Unix epoch; 0 while none is closed",
            ),
            gate_waiting: add(to, "gate_waiting", "Tasks of batches that wait at a gate, now"),
            gate_running: add(
                to,
                "gate_running",
                "Tasks of batches that have passed a gate and run, now",
            ),
        }
    }

    /// An attempt, or a hook, of a batch ended.
    pub(crate) fn attempt_ended(&self, class: Class) {
        self.attempts.increase(match class {
            Class::Done => AttemptEnd::Done,
            Class::Transient { .. } => AttemptEnd::Transient,
            Class::Limit { .. } => AttemptEnd::Limit,
            Class::Unavailable { .. } => AttemptEnd::Unavailable,
            Class::Interrupted => AttemptEnd::Interrupted,
            Class::Lost => AttemptEnd::Lost,
            Class::TimedOut => AttemptEnd::TimedOut,
            Class::Never { .. } => AttemptEnd::Final,
        });
    }

    /// An attempt has used so many tokens; those of the cache are counted in `input` too.
    pub(crate) fn tokens(&self, input: u64, cache_read: u64, cache_creation: u64, output: u64) {
        let fresh = input.saturating_sub(cache_read).saturating_sub(cache_creation);
        self.tokens.increase_by(TokenKind::Input, fresh);
        self.tokens.increase_by(TokenKind::CacheRead, cache_read);
        self.tokens.increase_by(TokenKind::CacheCreation, cache_creation);
        self.tokens.increase_by(TokenKind::Output, output);
    }

    /// Before a page: how many batches are not over, and their gates.
    pub(crate) fn set_running(&self, batches: usize, gates: &[GateSummary]) {
        set(&self.running, batches);
        let sum = |of: fn(&GateSummary) -> u64| gauge(gates.iter().map(of).sum());
        let closed = gates.iter().filter_map(|gate| gate.closed_until_ms);
        set(&self.gates_closed, closed.clone().count());
        self.gate_closed_until.set(gauge(closed.max().unwrap_or(0) / 1000));
        self.gate_waiting.set(sum(|gate| gate.waiting));
        self.gate_running.set(sum(|gate| gate.running));
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
