//! The event loop: how late it serves a timer.

use std::time::Duration;

use prometheus_client::{
    metrics::{gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tokio::runtime::Handle;

use crate::ops::metrics::register::{add, add_seconds, set};

/// From the resolution of timers to a loop that something has blocked.
const LAGS_S: [f64; 9] = [0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Debug)]
pub(crate) struct EventLoopMetrics {
    lag: Histogram,
    runtime_tasks: Gauge,
}

impl EventLoopMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            lag: add_seconds(
                to,
                "event_loop_lag",
                &LAGS_S,
                "How late the event loop served a timer that is due every 5 s",
            ),
            runtime_tasks: add(to, "event_loop_tasks", "Asynchronous tasks of the supervisor, now"),
        }
    }

    /// The timer was served so late.
    pub(crate) fn served(&self, late: Duration) {
        self.lag.observe(late.as_secs_f64());
    }

    /// Before a page.
    pub(crate) fn read(&self) {
        if let Ok(runtime) = Handle::try_current() {
            set(&self.runtime_tasks, runtime.metrics().num_alive_tasks());
        }
    }
}
