//! A batch as its owner knows it: what never changes, and all that can change.

use std::sync::Arc;

use cc_batch::{Batch, Plan, life::Head};
use cc_protocol::batch::BatchSummary;
use serde::{Deserialize, Serialize};

use crate::batch::attempts::Record;

/// What never changes of a batch.
#[derive(Clone, Debug)]
pub struct BatchFacts {
    /// uuid v7.
    pub batch_id: String,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// When it was submitted, milliseconds since the Unix epoch.
    pub submitted_ms: u64,
}

/// What the database has as the head of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredHead {
    /// Of the state machine.
    pub head: Head,
    /// When its first attempt began, milliseconds since the Unix epoch.
    pub started_ms: Option<u64>,
    /// Of a batch that is over: all that is shown of it in a list.
    pub summary: Option<BatchSummary>,
}

/// All that can change of a batch.
#[derive(Clone, Debug)]
pub struct RunState {
    /// The state machine's.
    pub batch: Batch,
    /// A task each, without long texts.
    pub records: Vec<Record>,
    /// When its first attempt began.
    pub started_ms: Option<u64>,
    /// When it was over.
    pub over_ms: Option<u64>,
}
