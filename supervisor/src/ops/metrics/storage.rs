//! The state directory: what could not be written, what was removed.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::ops::{
    metrics::register::{add, add_in},
    vitals::checkup::Space,
};

#[derive(Debug)]
pub(crate) struct StorageMetrics {
    log_failures: Counter,
    logs_removed: Counter,
    free_bytes: Gauge,
    total_bytes: Gauge,
    ended_logs_bytes: Gauge,
}

impl StorageMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            log_failures: add(to, "log_failures", "Tasks whose log could not be written"),
            logs_removed: add(
                to,
                "logs_removed",
                "Logs of ended tasks that were removed for their age, number or size",
            ),
            free_bytes: add_in(
                to,
                "state_free",
                Unit::Bytes,
                "Room that is left on the file system of the state directory, now",
            ),
            total_bytes: add_in(
                to,
                "state_total",
                Unit::Bytes,
                "Size of the file system of the state directory, now",
            ),
            ended_logs_bytes: add_in(
                to,
                "state_ended_logs",
                Unit::Bytes,
                "What the logs of ended tasks take in the state directory, now",
            ),
        }
    }

    /// Before a page.
    pub(crate) fn set_space(&self, space: Option<Space>, ended_logs_bytes: u64) {
        let set = |gauge: &Gauge, bytes: u64| gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Some(space) = space {
            set(&self.free_bytes, space.free_bytes);
            set(&self.total_bytes, space.total_bytes);
        }
        set(&self.ended_logs_bytes, ended_logs_bytes);
    }

    pub(crate) fn log_failed(&self) {
        self.log_failures.inc();
    }

    /// The log of an ended task was removed.
    pub(crate) fn log_removed(&self) {
        self.logs_removed.inc();
    }
}
