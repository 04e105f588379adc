//! The state directory: what could not be written, what was removed.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::ops::metrics::register::add;

#[derive(Debug)]
pub(crate) struct StorageMetrics {
    log_failures: Counter,
    logs_removed: Counter,
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
        }
    }

    pub(crate) fn log_failed(&self) {
        self.log_failures.inc();
    }

    /// The log of an ended task was removed.
    pub(crate) fn log_removed(&self) {
        self.logs_removed.inc();
    }
}
