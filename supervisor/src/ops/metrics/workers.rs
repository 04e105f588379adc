//! Workers and their keeper: how they end before their time, and what they leave.

use cc_events::{Completed, EndReason};
use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::ops::metrics::register::add;

#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    lost: Counter,
    leftovers_killed: Counter,
    unkillable: Counter,
}

impl WorkerMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            lost: add(
                to,
                "workers_lost",
                "Workers that died or stopped answering before their task's end",
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
        if completed.reason == EndReason::WorkerDied {
            self.lost.inc();
        }
        self.leftovers_killed.inc_by(completed.killed_leftovers);
        self.unkillable.inc_by(completed.unkillable);
    }
}
