//! What is counted of workers and keepers that end as they should not.
//!
//! Called where such an end is noticed: by the spawner for keepers, by [`crate::task::worker_lost`] for workers.

use std::sync::Arc;

use crate::ops::metrics::{AbnormalEnd, Metrics};

/// Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Supervision {
    metrics: Arc<Metrics>,
}

impl Supervision {
    #[must_use]
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }

    pub(crate) fn worker_lost(&self, how: AbnormalEnd) {
        self.metrics.workers.lost(how);
    }

    /// A keeper that had forked workers is gone, and another one is started.
    pub(crate) fn keeper_lost(&self) {
        self.metrics.workers.keeper_lost();
    }

    /// One look at all processes for what dead workers have left.
    pub(crate) fn swept(&self) {
        self.metrics.workers.swept();
    }
}
