//! What is counted of workers and keepers that end as they should not.
//!
//! Called where such an end is noticed: by the spawner for keepers, by [`crate::task::worker_lost`] for workers.

use std::{fmt, sync::Arc};

use crate::ops::metrics::Metrics;

/// How a worker ended that was lost before its task had a terminal event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbnormalEnd {
    /// It died: killed, crashed, or by an exit without a terminal event.
    Died,
    /// It gave no sign of life, or did not end its task in time, and was killed.
    Unresponsive,
    /// It sent what it must not, and was killed.
    Misbehaved,
    /// It was killed because the supervisor's own code had failed.
    OwnerFailed,
}

impl fmt::Display for AbnormalEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Died => "died",
            Self::Unresponsive => "unresponsive",
            Self::Misbehaved => "misbehaved",
            Self::OwnerFailed => "owner_failed",
        })
    }
}

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
        self.metrics.worker_lost(&how.to_string());
    }

    /// A keeper that had forked workers is gone, and another one is started.
    pub(crate) fn keeper_lost(&self) {
        self.metrics.keeper_lost();
    }

    /// One look at all processes for what dead workers have left.
    pub(crate) fn swept(&self) {
        self.metrics.swept();
    }
}
