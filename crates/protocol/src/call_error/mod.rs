//! Every reason for which the server refuses a call, and the one place that gives each its code, text and data.
//!
//! A parameter that is wrong in itself is found where the parameters are read, and is an [`ErrorObject`] from the start.
//! Everything else depends on the server's state: the server's own errors become a [`CallError`], so that no other
//! place chooses a code.

mod denied;
mod message;
mod plan_mistake;
mod shown;
mod unfit_param;

use std::fmt;

use cc_events::EndReason;
use serde_json::{Map, Value, json};

use self::shown::{shown_id, shown_word};
pub use self::{denied::Denied, plan_mistake::PlanMistake, unfit_param::UnfitParam};
use crate::{
    control::ControlType,
    error::{ErrorCode, ErrorObject},
    method::METHODS,
};

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// More values or calls in a message than are read.
    TooMany {
        /// `values in a message` or `calls in a batch`.
        what: &'static str,
        /// Most that are read.
        limit: usize,
    },
    /// The answer with its id would not fit a message.
    AnswerTooLong,
    /// There is no such method.
    MethodNotFound {
        /// As it was sent.
        method: String,
    },
    /// A parameter is wrong in itself: it is missing, unknown, of the wrong type or out of range.
    Param(ErrorObject),
    /// A parameter that is well formed does not fit the server's state or its configuration.
    UnfitParam(UnfitParam),
    /// A plan with mistakes.
    Plan {
        /// The first one, for people.
        first: String,
        /// As many as an answer holds, in the order of the plan.
        mistakes: Vec<PlanMistake>,
        /// How many more there are.
        further: usize,
    },
    /// The session runs a task already.
    TaskRuns {
        /// The task that runs.
        task_id: String,
    },
    /// The program is not on the operator's list.
    CommandNotAllowed {
        /// The program's name, as it was sent.
        command: String,
        /// The programs on that list.
        allowed: Vec<String>,
    },
    /// The operator does not allow it, or the client's token does not.
    Denied(Denied),
    /// The session runs no task, or the task has ended.
    NoProcess {
        /// The task, where the call has named it.
        task_id: Option<String>,
    },
    /// The batch has ended.
    BatchOver {
        /// As it was sent.
        batch_id: String,
    },
    /// No task of the batch is left to be run again.
    NothingToResume,
    /// The gate is open.
    GateOpen {
        /// As it was sent.
        gate_id: String,
    },
    /// There is no such session, or the token is not its own.
    SessionUnknown {
        /// As it was sent.
        session_id: String,
    },
    /// The session was closed, or its grace period has passed.
    SessionExpired {
        /// As it was sent.
        session_id: String,
    },
    /// The connection's own session was closed, or another connection has resumed it.
    SessionLost,
    /// The supervisor is stopping: no new tasks.
    DrainingTasks {
        /// The task, where it was accepted before.
        task_id: Option<String>,
    },
    /// The supervisor is stopping: no new batches.
    DrainingBatches,
    /// An operator lets the supervisor run empty.
    Drained {
        /// `tasks` or `batches`.
        what: &'static str,
    },
    /// The settings cannot be read again.
    Configuration {
        /// What is wrong with them.
        mistakes: Vec<String>,
    },
    /// The state directory is gone, and the supervisor stops when its tasks have ended.
    StateLost,
    /// There is no such task.
    NoSuchTask {
        /// As it was sent.
        task_id: String,
    },
    /// There is no such batch.
    NoSuchBatch {
        /// As it was sent.
        batch_id: String,
    },
    /// As many tasks run as may.
    TasksFull {
        /// Most tasks that run at the same time.
        limit: usize,
    },
    /// As many batches run as may.
    BatchesFull {
        /// Most batches that run at the same time.
        limit: usize,
    },
    /// The connection is attached to as many tasks or batches as it can be.
    AttachedFull {
        /// `tasks` or `batches`.
        what: &'static str,
        /// Most of them on one connection.
        limit: usize,
    },
    /// The task could not be started.
    NotStarted {
        /// The id that the task got.
        task_id: String,
        /// Why, for people.
        problem: String,
        /// How the task ended.
        end_reason: EndReason,
        /// The task's exit code.
        exit_code: i32,
        /// Whether the machine lacked something, which says nothing about the task: the same call may succeed soon.
        is_retryable: bool,
    },
    /// The worker program is broken: no task is started.
    WorkerBroken {
        /// When it is tried again, milliseconds.
        retry_after_ms: u64,
    },
    /// The worker program is not there or cannot be executed: no worker is restarted.
    NoWorkerProgram {
        /// Why, for people.
        problem: String,
    },
    /// Something is wrong with the supervisor or its surroundings that keeps it from starting tasks.
    NotReady {
        /// Its name, as the health pages have it.
        condition: &'static str,
        /// What is wrong and what to do, for people.
        problem: &'static str,
    },
    /// Another control canceled the task before it was started.
    Withdrawn,
    /// The task's owner has failed.
    OwnerFailed,
    /// The task's owner has not confirmed a control in time.
    NotConfirmed {
        /// What it was asked.
        control: ControlType,
        /// For how long the server has waited.
        seconds: u64,
    },
    /// The server's own fault.
    Internal {
        /// For people.
        problem: String,
    },
}

impl CallError {
    /// The code on the wire.
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany { .. } | Self::AnswerTooLong => ErrorCode::InvalidRequest,
            Self::MethodNotFound { .. } => ErrorCode::MethodNotFound,
            Self::Param(_) | Self::UnfitParam(_) | Self::Plan { .. } | Self::TaskRuns { .. } => {
                ErrorCode::InvalidParams
            }
            Self::CommandNotAllowed { .. } => ErrorCode::CommandNotAllowed,
            Self::Denied(denied) => denied.code(),
            Self::NoProcess { .. }
            | Self::BatchOver { .. }
            | Self::NothingToResume
            | Self::GateOpen { .. } => ErrorCode::NoProcess,
            Self::SessionUnknown { .. } => ErrorCode::SessionUnknown,
            Self::SessionExpired { .. } | Self::SessionLost => ErrorCode::SessionExpired,
            Self::DrainingTasks { .. }
            | Self::DrainingBatches
            | Self::Drained { .. }
            | Self::StateLost => ErrorCode::Draining,
            Self::Configuration { .. } => ErrorCode::ConfigurationInvalid,
            Self::NoSuchTask { .. } => ErrorCode::NoSuchTask,
            Self::NoSuchBatch { .. } => ErrorCode::NoSuchBatch,
            Self::TasksFull { .. } | Self::BatchesFull { .. } | Self::AttachedFull { .. } => {
                ErrorCode::QueueFull
            }
            Self::NotStarted { .. }
            | Self::WorkerBroken { .. }
            | Self::NoWorkerProgram { .. }
            | Self::NotReady { .. }
            | Self::Withdrawn => ErrorCode::SpawnFailed,
            Self::OwnerFailed | Self::NotConfirmed { .. } | Self::Internal { .. } => {
                ErrorCode::InternalError
            }
        }
    }

    /// For programs: what stands in `data` beside `kind` and `retryable`.
    fn into_data(self) -> Map<String, Value> {
        let one = |key: &str, value: Value| Map::from_iter([(key.to_owned(), value)]);
        match self {
            Self::TooMany { limit, .. }
            | Self::TasksFull { limit }
            | Self::BatchesFull { limit }
            | Self::AttachedFull { limit, .. } => one("limit", limit.into()),
            Self::MethodNotFound { method } => match nearest_method(&shown_word(&method)) {
                Some(known) => one("suggestion", known.into()),
                None => Map::new(),
            },
            Self::Param(error) => error.data,
            Self::UnfitParam(unfit) => unfit.into_data(),
            Self::Plan { mistakes, further, .. } => Map::from_iter([
                ("field".to_owned(), json!(mistakes.first().map(|mistake| &mistake.field))),
                ("mistakes".to_owned(), json!(mistakes)),
                ("further".to_owned(), further.into()),
            ]),
            Self::TaskRuns { task_id }
            | Self::DrainingTasks { task_id: Some(task_id) }
            | Self::NoProcess { task_id: Some(task_id) } => one("task_id", task_id.into()),
            Self::NoSuchTask { task_id } => one("task_id", shown_id(&task_id).into()),
            Self::Configuration { mistakes } => one("mistakes", mistakes.into()),
            Self::CommandNotAllowed { command, .. } => one("command", shown_word(&command).into()),
            Self::Denied(denied) => denied.into_data(),
            Self::BatchOver { batch_id } => one("batch_id", batch_id.into()),
            Self::NoSuchBatch { batch_id } => one("batch_id", shown_id(&batch_id).into()),
            Self::GateOpen { .. } => one("field", "gate_id".into()),
            Self::SessionUnknown { session_id } | Self::SessionExpired { session_id } => {
                one("session_id", shown_id(&session_id).into())
            }
            Self::NotStarted { task_id, problem, end_reason, exit_code, is_retryable } => {
                Map::from_iter([
                    ("task_id".to_owned(), task_id.into()),
                    ("reason".to_owned(), problem.into()),
                    ("end_reason".to_owned(), end_reason.as_str().into()),
                    ("exit_code".to_owned(), exit_code.into()),
                    ("retryable".to_owned(), is_retryable.into()),
                ])
            }
            Self::WorkerBroken { retry_after_ms } => Map::from_iter([
                ("retryable".to_owned(), true.into()),
                ("retry_after_ms".to_owned(), retry_after_ms.into()),
            ]),
            Self::NoWorkerProgram { .. } => one("retryable", true.into()),
            Self::NotReady { condition, .. } => Map::from_iter([
                ("retryable".to_owned(), true.into()),
                ("condition".to_owned(), condition.into()),
            ]),
            Self::Withdrawn => {
                let canceled = EndReason::Canceled.as_str();
                Map::from_iter([
                    ("reason".to_owned(), canceled.into()),
                    ("end_reason".to_owned(), canceled.into()),
                ])
            }
            Self::AnswerTooLong
            | Self::NoProcess { task_id: None }
            | Self::NothingToResume
            | Self::SessionLost
            | Self::DrainingTasks { task_id: None }
            | Self::DrainingBatches
            | Self::Drained { .. }
            | Self::StateLost
            | Self::OwnerFailed
            | Self::NotConfirmed { .. }
            | Self::Internal { .. } => Map::new(),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for CallError {}

impl From<ErrorObject> for CallError {
    fn from(error: ErrorObject) -> Self {
        Self::Param(error)
    }
}

impl From<Denied> for CallError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<UnfitParam> for CallError {
    fn from(unfit: UnfitParam) -> Self {
        Self::UnfitParam(unfit)
    }
}

impl From<CallError> for ErrorObject {
    fn from(error: CallError) -> Self {
        let mut object = Self::new(error.code(), error.message());
        object.data.extend(error.into_data());
        object
    }
}

fn nearest_method(method: &str) -> Option<&'static str> {
    METHODS
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(method, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
