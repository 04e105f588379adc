//! `supervisor.drain`, `supervisor.drain_progress` and `supervisor.undrain`: letting a supervisor run empty before it is replaced.

use serde::{Deserialize, Serialize};

/// The result of `supervisor.drain`, `supervisor.drain_progress` and `supervisor.undrain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainResult {
    /// Whether new tasks and batches are refused.
    pub draining: bool,
    /// Tasks that run, those of batches included.
    pub running: u64,
    /// Tasks of batches that have begun and are not over: while they are, a hook may follow.
    pub under_way: u64,
    /// Batches that are not over. They go on when the drain ends, or with the next supervisor.
    pub batches: u64,
}

impl DrainResult {
    /// Whether nothing runs, and nothing will until the drain ends.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.draining && self.running == 0 && self.under_way == 0
    }
}
