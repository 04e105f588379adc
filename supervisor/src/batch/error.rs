//! Why a call about batches is refused, and the one mapping of it to the errors of the wire.

use cc_batch::{Mistakes, plan::RestError};
use cc_protocol::error::{ErrorCode, ErrorObject};
use serde_json::{Value, json};
use tokio::task::JoinError;

use crate::{config::limits, storage::database::StoreError, task::lookup};

/// Characters of an id from a client that an error repeats.
const ID_CHARS: usize = 64;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("{}", .0.summary())]
    Plan(Box<PlanRefused>),
    #[error("reading the plan: {0}")]
    PlanNotRead(#[from] JoinError),
    #[error(
        "Invalid params: idempotency_key is that of batch {batch_id}, which has another plan: give this one another key"
    )]
    OtherPlan { batch_id: String },
    #[error("the supervisor is stopping and takes no new batches")]
    Stopping,
    #[error("{} batches are under way, and no more may: try again later", limits::BATCHES)]
    TooManyBatches,
    #[error("no such batch: {batch_id:?}; it may have been removed by retention")]
    NoSuchBatch { batch_id: String },
    #[error(
        "Invalid params: index must be less than {tasks}, the number of tasks of batch {batch_id}"
    )]
    NoSuchTask { batch_id: String, tasks: usize },
    #[error("this batch is over")]
    Over { batch_id: String },
    #[error("Invalid params: batch_id is a batch that is not over: wait for it, or cancel it")]
    NotOver,
    #[error("nothing is left to be done of this batch")]
    NothingLeft,
    #[error("Invalid params: batch_id is a batch that cannot be resumed: {0}")]
    NotResumable(RestError),
    #[error("Invalid params: gate_id is no gate: {gate_id:?}; see gate.list")]
    NoSuchGate { gate_id: String },
    #[error("the gate {gate_id} is not shut")]
    GateOpen { gate_id: String },
    #[error("the plan of batch {batch_id} cannot be read: {error}")]
    PlanUnreadable { batch_id: String, error: serde_json::Error },
    /// What a newer program has written, or a batch that is not over.
    #[error("the state of batch {batch_id} cannot be read")]
    SummaryUnreadable { batch_id: String },
    #[error("its state cannot be read: {0}")]
    StateUnreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Database(#[from] StoreError),
}

impl BatchError {
    pub(super) fn no_such_batch(batch_id: &str) -> Self {
        Self::NoSuchBatch { batch_id: shown(batch_id) }
    }

    pub(super) fn no_such_gate(gate_id: &str) -> Self {
        Self::NoSuchGate { gate_id: shown(gate_id) }
    }

    pub(super) fn gate_open(gate_id: &str) -> Self {
        Self::GateOpen { gate_id: shown(gate_id) }
    }
}

fn shown(id: &str) -> String {
    id.chars().take(ID_CHARS).collect()
}

impl From<Mistakes> for BatchError {
    fn from(mistakes: Mistakes) -> Self {
        Self::Plan(Box::new(PlanRefused(mistakes)))
    }
}

impl From<BatchError> for ErrorObject {
    fn from(error: BatchError) -> Self {
        let of = |code| Self::new(code, error.to_string());
        match &error {
            BatchError::Plan(refused) => refused.to_wire(),
            BatchError::OtherPlan { batch_id } => of(ErrorCode::InvalidParams)
                .with("field", "idempotency_key")
                .with("batch_id", batch_id.clone()),
            BatchError::Stopping => of(ErrorCode::Draining),
            BatchError::TooManyBatches => of(ErrorCode::QueueFull).with("limit", limits::BATCHES),
            BatchError::NoSuchBatch { batch_id } => {
                of(ErrorCode::NoSuchBatch).with("batch_id", batch_id.clone())
            }
            BatchError::NoSuchTask { batch_id, .. } => of(ErrorCode::InvalidParams)
                .with("field", "index")
                .with("batch_id", batch_id.clone()),
            BatchError::Over { batch_id } => {
                of(ErrorCode::NoProcess).with("batch_id", batch_id.clone())
            }
            BatchError::NotOver | BatchError::NotResumable(_) => {
                of(ErrorCode::InvalidParams).with("field", "batch_id")
            }
            BatchError::NothingLeft => of(ErrorCode::NoProcess),
            BatchError::NoSuchGate { .. } => of(ErrorCode::InvalidParams).with("field", "gate_id"),
            BatchError::GateOpen { .. } => of(ErrorCode::NoProcess).with("field", "gate_id"),
            BatchError::PlanNotRead(_)
            | BatchError::PlanUnreadable { .. }
            | BatchError::SummaryUnreadable { .. }
            | BatchError::StateUnreadable(_) => of(ErrorCode::InternalError),
            BatchError::Database(error) => lookup::failed(error),
        }
    }
}

/// The mistakes of a plan: all of them, as many as an answer holds.
#[derive(Debug)]
pub(crate) struct PlanRefused(Mistakes);

impl PlanRefused {
    fn summary(&self) -> String {
        let count = self.0.count();
        let first = self.0.list.first().map(ToString::to_string).unwrap_or_default();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        format!("Invalid params: {count} {noun} in the plan; the first: {first}")
    }

    fn to_wire(&self) -> ErrorObject {
        let Mistakes { list, further } = &self.0;
        let mistakes: Vec<Value> = list
            .iter()
            .map(|mistake| {
                json!({
                    "task": mistake.task_index,
                    "name": mistake.task_name,
                    "field": mistake.field,
                    "what": mistake.what,
                })
            })
            .collect();
        ErrorObject::new(ErrorCode::InvalidParams, self.summary())
            .with("field", list.first().map(|mistake| mistake.field.clone()))
            .with("mistakes", mistakes)
            .with("further", *further)
    }
}
