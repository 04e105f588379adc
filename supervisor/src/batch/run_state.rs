//! The data of a batch: what never changes, what a step can change, and the head that the database stores.
//!
//! Only types. [`crate::batch::owner`] changes them, [`crate::batch::render`] reads them.

use std::sync::Arc;

use cc_batch::{Batch, Plan, life::Head};
use cc_protocol::batch::BatchSummary;
use serde::{Deserialize, Serialize};

use crate::batch::attempts::Attempts;

#[derive(Clone, Debug)]
pub(super) struct BatchFacts {
    pub(super) batch_id: String,
    pub(super) plan: Arc<Plan>,
    pub(super) submitted_ms: u64,
    /// The name of the token with which it was submitted.
    pub(super) token: Option<Arc<str>>,
}

/// The head of a batch in the database, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredHead {
    pub(super) head: Head,
    /// When the first attempt began.
    pub(super) started_ms: Option<u64>,
    /// The last summary of a batch that is over.
    pub(super) summary: Option<BatchSummary>,
}

/// What the steps of a batch change.
#[derive(Clone, Debug)]
pub(super) struct RunState {
    pub(super) batch: Batch,
    /// One entry for each task, without long texts.
    pub(super) attempts: Vec<Attempts>,
    /// When the first attempt began.
    pub(super) started_ms: Option<u64>,
    pub(super) over_ms: Option<u64>,
}
