//! Workers and their keeper: how they end before their time, and what they leave.

use cc_events::Completed;
use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::ops::metrics::{
    label::{CounterBy, label},
    register::add,
};

label!(
    /// How a worker ended that was lost before its task had a terminal event.
    AbnormalEnd, "reason", {
        /// It died: killed, crashed, or by an exit without a terminal event.
        Died => "died",
        /// It gave no sign of life, or did not end its task in time, and was killed.
        Unresponsive => "unresponsive",
        /// It sent what it must not, and was killed.
        Misbehaved => "misbehaved",
        /// It was killed because the supervisor's own code had failed.
        OwnerFailed => "owner_failed",
    }
);

#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    lost: CounterBy<AbnormalEnd>,
    keepers_lost: Counter,
    sweeps: Counter,
    leftovers_killed: Counter,
    unkillable: Counter,
}

impl WorkerMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            lost: CounterBy::add(
                to,
                "workers_lost",
                "Workers that died or stopped answering before their task's end",
            ),
            keepers_lost: add(to, "keepers_lost", "Keepers that died or did not answer"),
            sweeps: add(
                to,
                "sweeps",
                "Looks at all processes for what dead workers have left; one serves all that wait",
            ),
            leftovers_killed: add(
                to,
                "leftovers_killed",
                "Processes that outlived the main process of their task and were killed",
            ),
            unkillable: add(
                to,
                "processes_unkillable",
                "Processes that were left at their task's end because they survived SIGKILL",
            ),
        }
    }

    /// A task ended.
    pub(crate) fn task_ended(&self, completed: &Completed) {
        self.leftovers_killed.inc_by(completed.killed_leftovers);
        self.unkillable.inc_by(completed.unkillable);
    }

    /// A worker ended before its task had a terminal event.
    pub(crate) fn lost(&self, how: AbnormalEnd) {
        self.lost.increase(how);
    }

    pub(crate) fn keeper_lost(&self) {
        self.keepers_lost.inc();
    }

    /// All processes were looked at for what dead workers have left.
    pub(crate) fn swept(&self) {
        self.sweeps.inc();
    }
}
