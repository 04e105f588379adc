//! What the server says about a batch unasked: the `params` of `batch.progress` and `batch.completed`.

use serde::{Deserialize, Serialize};

use super::{rows::BatchRow, summary::BatchSummary};

/// `batch.progress`: what has changed since the one before. A client that reads slowly gets fewer, never older ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchProgress {
    /// As it is now.
    pub batch: BatchSummary,
    /// Tasks that have changed, as they are now, in the plan's order; as many as fit.
    pub rows: Vec<BatchRow>,
}

/// `batch.completed`: the end of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchCompleted {
    /// As it is for good.
    pub batch: BatchSummary,
    /// All tasks, in the plan's order; as many as fit.
    pub rows: Vec<BatchRow>,
    /// Not all fit: `batch.rows` has the others.
    pub rows_omitted: bool,
}
