//! Every reason for which the server refuses a call, and the one place that gives each its code, text and data.
//!
//! Mistakes in single parameters are found where the parameters are read, and are [`ErrorObject`]s from the start;
//! here is what only the server's state decides. Its own errors become a [`CallError`] first, so that no other place
//! chooses a code.

use serde_json::{Map, Value, json};

use crate::{
    error::{ErrorCode, ErrorObject},
    method::METHODS,
};

/// Longest id from a request that is repeated in an error, characters.
const ID_CHARS_LIMIT: usize = 64;
/// Longest method or command that is, characters.
const WORD_CHARS_LIMIT: usize = 100;

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
    /// A parameter that is well formed does not fit the server's state.
    UnfitParam {
        /// Name of the parameter, or of its member: `after.seq`.
        field: &'static str,
        /// Reads on after the name: what is wrong, and what to do.
        problem: String,
        /// What else a program may need, such as `task_id` or `last_seq`.
        data: Map<String, Value>,
    },
    /// A plan with mistakes.
    Plan {
        /// How many, also those that are not listed.
        count: usize,
        /// The first one, for people.
        first: String,
        /// Name of the member that the first one concerns.
        first_field: Option<String>,
        /// The first ones: `task`, `name`, `field` and `what` of each.
        mistakes: Vec<Value>,
        /// How many more there are.
        further: usize,
    },
    /// The session runs a task already.
    TaskRuns {
        /// Which one.
        task_id: String,
    },
    /// The program is not on the operator's list.
    CommandNotAllowed {
        /// The program.
        command: String,
        /// The list.
        allowed: Vec<String>,
    },
    /// The session runs no task, or the task has ended.
    NoProcess,
    /// The batch has ended.
    BatchOver {
        /// Which one.
        batch_id: String,
    },
    /// No task of the batch is left to be run again.
    NothingToResume,
    /// The gate is open.
    GateOpen {
        /// Which one.
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
        /// How many.
        limit: usize,
    },
    /// As many batches run as may.
    BatchesFull {
        /// How many.
        limit: usize,
    },
    /// The connection is attached to as many tasks or batches as it can be.
    AttachedFull {
        /// `tasks` or `batches`.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// The task could not be started.
    NotStarted {
        /// The task.
        task_id: String,
        /// Why, for people.
        reason: String,
        /// What else a program may need: `end_reason`, `exit_code`, and `retryable` where it is.
        data: Map<String, Value>,
    },
    /// Another control canceled the task before it was started.
    Withdrawn,
    /// The server's own fault, which its log has too.
    Internal {
        /// For people.
        problem: String,
    },
}

impl CallError {
    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany { .. } | Self::AnswerTooLong => ErrorCode::InvalidRequest,
            Self::MethodNotFound { .. } => ErrorCode::MethodNotFound,
            Self::UnfitParam { .. } | Self::Plan { .. } | Self::TaskRuns { .. } => {
                ErrorCode::InvalidParams
            }
            Self::CommandNotAllowed { .. } => ErrorCode::CommandNotAllowed,
            Self::NoProcess
            | Self::BatchOver { .. }
            | Self::NothingToResume
            | Self::GateOpen { .. } => ErrorCode::NoProcess,
            Self::SessionUnknown { .. } => ErrorCode::SessionUnknown,
            Self::SessionExpired { .. } | Self::SessionLost => ErrorCode::SessionExpired,
            Self::DrainingTasks { .. } | Self::DrainingBatches => ErrorCode::Draining,
            Self::NoSuchTask { .. } => ErrorCode::NoSuchTask,
            Self::NoSuchBatch { .. } => ErrorCode::NoSuchBatch,
            Self::TasksFull { .. } | Self::BatchesFull { .. } | Self::AttachedFull { .. } => {
                ErrorCode::QueueFull
            }
            Self::NotStarted { .. } | Self::Withdrawn => ErrorCode::SpawnFailed,
            Self::Internal { .. } => ErrorCode::InternalError,
        }
    }

    /// For people: what is wrong and what to do.
    fn message(&self) -> String {
        match self {
            Self::TooMany { what, limit } => {
                format!("Invalid Request: there may be at most {limit} {what}")
            }
            Self::AnswerTooLong => {
                "the answer is too long to be sent: shorten the id or the parameters".to_owned()
            }
            Self::MethodNotFound { method } => {
                let shown = beginning(method, WORD_CHARS_LIMIT);
                match nearest_method(&shown) {
                    Some(known) => format!("Method not found: {shown:?}; did you mean {known:?}?"),
                    None => {
                        format!("Method not found: {shown:?}; known are {}", METHODS.join(", "))
                    }
                }
            }
            Self::UnfitParam { field, problem, .. } => format!("Invalid params: {field} {problem}"),
            Self::Plan { count, first, .. } => {
                let noun = if *count == 1 { "mistake" } else { "mistakes" };
                format!("Invalid params: {count} {noun} in the plan; the first: {first}")
            }
            Self::TaskRuns { .. } => "A process is already running".to_owned(),
            Self::CommandNotAllowed { command, allowed } => {
                let shown = beginning(command, WORD_CHARS_LIMIT);
                format!("Command not allowed: {shown:?}; allowed are {}", allowed.join(", "))
            }
            Self::NoProcess => "No process is running".to_owned(),
            Self::BatchOver { .. } => "this batch is over".to_owned(),
            Self::NothingToResume => "nothing is left to be done of this batch".to_owned(),
            Self::GateOpen { gate_id } => format!("the gate {} is not shut", shown(gate_id)),
            Self::SessionUnknown { .. } => {
                "there is no such session, or this is not its token".to_owned()
            }
            Self::SessionExpired { .. } => {
                "the session is over: it was closed, or had no connection for too long; \
                 task.list shows what became of its tasks"
                    .to_owned()
            }
            Self::SessionLost => "this session is closed, or another connection has it".to_owned(),
            Self::DrainingTasks { .. } => {
                "the supervisor is stopping and takes no new tasks".to_owned()
            }
            Self::DrainingBatches => {
                "the supervisor is stopping and takes no new batches".to_owned()
            }
            Self::NoSuchTask { task_id } => no_such("task", task_id),
            Self::NoSuchBatch { batch_id } => no_such("batch", batch_id),
            Self::TasksFull { limit } => {
                format!("{limit} tasks run already, and no more may: try again later")
            }
            Self::BatchesFull { limit } => {
                format!("{limit} batches are under way, and no more may: try again later")
            }
            Self::AttachedFull { what, limit } => {
                format!("a connection can be attached to {limit} {what}: detach one first")
            }
            Self::NotStarted { reason, .. } => format!("the task could not be started: {reason}"),
            Self::Withdrawn => "the task was canceled before it could be started".to_owned(),
            Self::Internal { problem } => problem.clone(),
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
            Self::MethodNotFound { method } => {
                match nearest_method(&beginning(&method, WORD_CHARS_LIMIT)) {
                    Some(known) => one("suggestion", known.into()),
                    None => Map::new(),
                }
            }
            Self::UnfitParam { field, mut data, .. } => {
                // Of a member of a parameter the parameter is named.
                let field = field.split('.').next().unwrap_or(field);
                data.insert("field".to_owned(), field.into());
                data
            }
            Self::Plan { first_field, mistakes, further, .. } => Map::from_iter([
                ("field".to_owned(), json!(first_field)),
                ("mistakes".to_owned(), mistakes.into()),
                ("further".to_owned(), further.into()),
            ]),
            Self::TaskRuns { task_id } | Self::DrainingTasks { task_id: Some(task_id) } => {
                one("task_id", task_id.into())
            }
            Self::NoSuchTask { task_id } => one("task_id", shown(&task_id).into()),
            Self::CommandNotAllowed { command, .. } => {
                one("command", beginning(&command, WORD_CHARS_LIMIT).into())
            }
            Self::BatchOver { batch_id } => one("batch_id", batch_id.into()),
            Self::NoSuchBatch { batch_id } => one("batch_id", shown(&batch_id).into()),
            Self::GateOpen { .. } => one("field", "gate_id".into()),
            Self::SessionUnknown { session_id } | Self::SessionExpired { session_id } => {
                one("session_id", shown(&session_id).into())
            }
            Self::NotStarted { task_id, reason, mut data } => {
                data.insert("task_id".to_owned(), task_id.into());
                data.insert("reason".to_owned(), reason.into());
                data
            }
            Self::Withdrawn => Map::from_iter([
                ("reason".to_owned(), "canceled".into()),
                ("end_reason".to_owned(), "canceled".into()),
            ]),
            Self::AnswerTooLong
            | Self::NoProcess
            | Self::NothingToResume
            | Self::SessionLost
            | Self::DrainingTasks { task_id: None }
            | Self::DrainingBatches
            | Self::Internal { .. } => Map::new(),
        }
    }
}

impl From<CallError> for ErrorObject {
    fn from(error: CallError) -> Self {
        let mut object = Self::new(error.code(), error.message());
        object.data.extend(error.into_data());
        object
    }
}

fn no_such(what: &str, id: &str) -> String {
    format!("no such {what}: {:?}; it may have been removed by retention", shown(id))
}

fn shown(id: &str) -> String {
    beginning(id, ID_CHARS_LIMIT)
}

fn beginning(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
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
mod tests {
    use super::*;

    fn written(error: CallError) -> String {
        serde_json::to_string(&ErrorObject::from(error)).unwrap()
    }

    #[test]
    fn each_error_has_the_code_the_text_and_the_data_that_clients_know() {
        let id = || "t".repeat(70);
        let shown = "t".repeat(64);
        for (error, expected) in [
            (
                CallError::TaskRuns { task_id: "t".to_owned() },
                r#"{"code":-32602,"message":"A process is already running","data":{"kind":"invalid_params","retryable":false,"task_id":"t"}}"#.to_owned(),
            ),
            (
                CallError::NoProcess,
                r#"{"code":-32002,"message":"No process is running","data":{"kind":"no_process","retryable":false}}"#.to_owned(),
            ),
            (
                CallError::NoSuchTask { task_id: id() },
                format!(r#"{{"code":-32014,"message":"no such task: \"{shown}\"; it may have been removed by retention","data":{{"kind":"no_such_task","retryable":false,"task_id":"{shown}"}}}}"#),
            ),
            (
                CallError::TasksFull { limit: 3 },
                r#"{"code":-32016,"message":"3 tasks run already, and no more may: try again later","data":{"kind":"queue_full","limit":3,"retryable":true}}"#.to_owned(),
            ),
            (
                CallError::MethodNotFound { method: "exekute".to_owned() },
                r#"{"code":-32601,"message":"Method not found: \"exekute\"; did you mean \"execute\"?","data":{"kind":"method_not_found","retryable":false,"suggestion":"execute"}}"#.to_owned(),
            ),
            (
                CallError::UnfitParam {
                    field: "after.seq",
                    problem: "is 9, and the last event of this task is 7".to_owned(),
                    data: Map::from_iter([("last_seq".to_owned(), 7.into())]),
                },
                r#"{"code":-32602,"message":"Invalid params: after.seq is 9, and the last event of this task is 7","data":{"field":"after","kind":"invalid_params","last_seq":7,"retryable":false}}"#.to_owned(),
            ),
            (
                CallError::NotStarted {
                    task_id: "t".to_owned(),
                    reason: "no program".to_owned(),
                    data: Map::from_iter([
                        ("end_reason".to_owned(), "spawn_failed".into()),
                        ("exit_code".to_owned(), 127.into()),
                        ("retryable".to_owned(), true.into()),
                    ]),
                },
                r#"{"code":-32017,"message":"the task could not be started: no program","data":{"end_reason":"spawn_failed","exit_code":127,"kind":"spawn_failed","reason":"no program","retryable":true,"task_id":"t"}}"#.to_owned(),
            ),
            (
                CallError::DrainingTasks { task_id: Some("t".to_owned()) },
                r#"{"code":-32012,"message":"the supervisor is stopping and takes no new tasks","data":{"kind":"draining","retryable":true,"task_id":"t"}}"#.to_owned(),
            ),
        ] {
            assert_eq!(written(error), expected);
        }
    }
}
