//! Why a call about batches is refused.

use cc_batch::{Mistakes, plan::RestError};
use cc_protocol::{CallError, PlanMistake, UnfitParam};
use tokio::task::JoinError;

use crate::{config::limits, storage::database::StoreError};

/// Why a call is refused. In the log it reads as in the answer.
#[derive(Debug, thiserror::Error)]
#[error("{}", CallError::from(self))]
pub(crate) enum BatchError {
    Plan(#[from] Mistakes),
    PlanNotRead(#[from] JoinError),
    OtherPlan {
        batch_id: String,
    },
    Stopping,
    Draining,
    TooManyBatches,
    NoSuchBatch {
        batch_id: String,
    },
    NoSuchTask {
        batch_id: String,
        tasks: usize,
    },
    Over {
        batch_id: String,
    },
    NotOver,
    NothingLeft,
    NotResumable(RestError),
    NoSuchGate {
        gate_id: String,
    },
    GateOpen {
        gate_id: String,
    },
    PlanUnreadable {
        batch_id: String,
        error: serde_json::Error,
    },
    /// What a newer program has written, or a batch that is not over.
    SummaryUnreadable {
        batch_id: String,
    },
    StateUnreadable(#[from] serde_json::Error),
    Database(#[from] StoreError),
}

impl From<BatchError> for CallError {
    fn from(error: BatchError) -> Self {
        Self::from(&error)
    }
}

impl From<&BatchError> for CallError {
    fn from(error: &BatchError) -> Self {
        let internal = |problem| Self::Internal { problem };
        match error {
            BatchError::Plan(mistakes) => refused_plan(mistakes),
            BatchError::PlanNotRead(error) => internal(format!("reading the plan: {error}")),
            BatchError::OtherPlan { batch_id } => {
                UnfitParam::OtherPlan { batch_id: batch_id.clone() }.into()
            }
            BatchError::Stopping => Self::DrainingBatches,
            BatchError::Draining => Self::Drained { what: "batches" },
            BatchError::TooManyBatches => Self::BatchesFull { limit: limits::BATCHES },
            BatchError::NoSuchBatch { batch_id } => {
                Self::NoSuchBatch { batch_id: batch_id.clone() }
            }
            BatchError::NoSuchTask { batch_id, tasks } => {
                UnfitParam::NoSuchIndex { batch_id: batch_id.clone(), tasks: *tasks }.into()
            }
            BatchError::Over { batch_id } => Self::BatchOver { batch_id: batch_id.clone() },
            BatchError::NotOver => UnfitParam::BatchNotOver.into(),
            BatchError::NothingLeft => Self::NothingToResume,
            BatchError::NotResumable(error) => {
                UnfitParam::BatchNotResumable { problem: error.to_string() }.into()
            }
            BatchError::NoSuchGate { gate_id } => {
                UnfitParam::NoSuchGate { gate_id: gate_id.clone() }.into()
            }
            BatchError::GateOpen { gate_id } => Self::GateOpen { gate_id: gate_id.clone() },
            BatchError::PlanUnreadable { batch_id, error } => {
                internal(format!("the plan of batch {batch_id} cannot be read: {error}"))
            }
            BatchError::SummaryUnreadable { batch_id } => {
                internal(format!("the state of batch {batch_id} cannot be read"))
            }
            BatchError::StateUnreadable(error) => {
                internal(format!("its state cannot be read: {error}"))
            }
            BatchError::Database(error) => error.clone().into(),
        }
    }
}

fn refused_plan(Mistakes { list, further }: &Mistakes) -> CallError {
    let mistakes = list.iter().map(|mistake| PlanMistake {
        task: mistake.task_index,
        name: mistake.task_name.clone(),
        field: mistake.field.clone(),
        what: mistake.what.clone(),
    });
    CallError::Plan {
        first: list.first().map(ToString::to_string).unwrap_or_default(),
        mistakes: mistakes.collect(),
        further: *further,
    }
}
