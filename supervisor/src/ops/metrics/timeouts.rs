//! Time limits that have passed. Each is a line of the log too, with the kind, the limit and the ids.

use prometheus_client::registry::Registry;

use crate::ops::metrics::label::{CounterBy, label};

label!(
    /// Which limit has passed.
    Timeout, "kind", {
        /// A task's total time.
        Total => "total",
        /// A task's silence, or its time to the first output.
        Idle => "idle",
        /// A Claude task's time from its result to its exit.
        Linger => "linger",
        /// A worker's time to start, to give a sign of life, or to end its task.
        Worker => "worker",
        /// A connection's time to send its request.
        Handshake => "handshake",
        /// A client's time to answer a ping.
        Heartbeat => "heartbeat",
        /// A client's time to take what was sent before its connection is closed.
        Close => "close",
        /// A session's time to wait for its client.
        ResumeGrace => "resume_grace",
    }
);

#[derive(Debug)]
pub(crate) struct TimeoutMetrics {
    passed: CounterBy<Timeout>,
}

impl TimeoutMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self { passed: CounterBy::add(to, "timeouts", "Time limits that have passed, by kind") }
    }

    pub(crate) fn passed(&self, kind: Timeout) {
        self.passed.increase(kind);
    }
}
