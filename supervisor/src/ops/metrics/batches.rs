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

#[derive(Debug)]
pub(crate) struct BatchMetrics {
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
