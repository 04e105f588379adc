//! Batches, their attempts, and the gates that their tasks wait at.

use cc_batch::retry::Class;
use cc_protocol::gate::GateSummary;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
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

/// A gate, by the fingerprint of its account: there are as few as there are accounts.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByGate {
    credential: String,
    /// Empty for all.
    model: String,
}

#[derive(Debug)]
pub(crate) struct BatchMetrics {
    attempts: CounterBy<AttemptEnd>,
    running: Gauge,
    gate_closed_until: Family<ByGate, Gauge>,
    gate_waiting: Family<ByGate, Gauge>,
    gate_running: Family<ByGate, Gauge>,
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
            gate_closed_until: add_in(
                to,
                "gate_closed_until",
                Unit::Seconds,
                "When the limit of a credential ends that its tasks wait for; 0 while they pass",
            ),
            gate_waiting: add(
                to,
                "gate_waiting",
                "Tasks of batches that wait for their credential's gate, now",
            ),
            gate_running: add(
                to,
                "gate_running",
                "Tasks of batches that have passed their credential's gate and run, now",
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
        // Without this a gate that is gone would stay on the page.
        for family in [&self.gate_closed_until, &self.gate_waiting, &self.gate_running] {
            family.clear();
        }
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for gate in gates {
            let of = ByGate {
                credential: gate.account.clone(),
                model: gate.model.clone().unwrap_or_default(),
            };
            let closed_until_s = gate.closed_until_ms.unwrap_or(0) / 1000;
            self.gate_closed_until.get_or_create(&of).set(gauge(closed_until_s));
            self.gate_waiting.get_or_create(&of).set(gauge(gate.waiting));
            self.gate_running.get_or_create(&of).set(gauge(gate.running));
        }
    }
}
