//! Which event of which task: how notifications are numbered and sessions resumed.

use serde::{Deserialize, Serialize};

/// Which task, and which of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// uuid v7.
    pub task_id: String,
    /// From 1 without gaps.
    pub seq: u64,
}
