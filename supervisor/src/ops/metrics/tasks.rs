//! Tasks: how many, how they end, how long they take, what they print.

use std::{sync::atomic::AtomicU64, time::Duration};

use cc_events::{Completed, EndReason, Verdict};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::ops::metrics::{
    label::CounterByTwo,
    register::{add, add_in, add_seconds, set},
};

/// From a shell command to an agent that works for half a day.
const DURATIONS_S: [f64; 12] =
    [0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0];
/// From a fork on an idle machine to a start that is about to be given up.
const STARTS_S: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

#[derive(Debug)]
pub(crate) struct TaskMetrics {
    started: Counter,
    queued: Histogram,
    completed: CounterByTwo<Verdict, EndReason>,
    adopted: Counter,
    running: Gauge,
    durations: Histogram,
    starts: Histogram,
    output_bytes: Counter,
    dropped_bytes: Counter,
    cost: Counter<f64, AtomicU64>,
}

impl TaskMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            started: add(to, "tasks_started", "Tasks whose workers were started"),
            queued: add_seconds(
                to,
                "task_queue",
                &STARTS_S,
                "From the acceptance of a task to its worker: the record on the disk, and the wait for other starts",
            ),
            completed: CounterByTwo::add(
                to,
                "tasks_completed",
                "Tasks that ended, by verdict and by what ended them",
            ),
            adopted: add(
                to,
                "tasks_adopted",
                "Tasks of earlier supervisors whose workers were adopted",
            ),
            running: add(to, "tasks_running", "Tasks that are not over, now"),
            durations: add_seconds(
                to,
                "task_duration",
                &DURATIONS_S,
                "From the start of a task to the proof that its process tree is gone",
            ),
            starts: add_seconds(
                to,
                "task_start",
                &STARTS_S,
                "From the acceptance of a task to its start",
            ),
            output_bytes: add_in(
                to,
                "task_output",
                Unit::Bytes,
                "What tasks that have ended had printed",
            ),
            dropped_bytes: add_in(
                to,
                "task_output_dropped",
                Unit::Bytes,
                "Of what was printed, what is missing because of the output limit",
            ),
            cost: add(
                to,
                "cost_usd",
                "What Claude tasks have cost by the CLI's own reckoning, in US dollars",
            ),
        }
    }

    /// A worker was started, so long after the task was accepted.
    pub(crate) fn worker_started(&self, after: Duration) {
        self.started.inc();
        self.queued.observe(after.as_secs_f64());
    }

    /// What a task has cost by the CLI's own reckoning, US dollars.
    pub(crate) fn cost(&self, usd: f64) {
        // A counter never goes back.
        self.cost.inc_by(usd.max(0.0));
    }

    /// The main process of a task runs, so long after the task was accepted.
    pub(crate) fn started(&self, after: Duration) {
        self.starts.observe(after.as_secs_f64());
    }

    pub(crate) fn completed(&self, completed: &Completed) {
        self.completed.increase(completed.verdict, completed.reason);
        self.durations.observe(Duration::from_millis(completed.duration_ms).as_secs_f64());
        self.output_bytes.inc_by(completed.output.bytes);
        self.dropped_bytes.inc_by(completed.output.dropped_bytes);
    }

    pub(crate) fn adopted(&self) {
        self.adopted.inc();
    }

    /// Before a page: how many tasks are not over.
    pub(crate) fn set_running(&self, count: usize) {
        set(&self.running, count);
    }
}
