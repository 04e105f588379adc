//! Every error that the session itself answers a call with, and the wire's code for each. The rooms below have mappings of
//! their own: their errors arrive as an [`ErrorObject`]. Only a refusal of the task registry becomes a [`CallError`].

use cc_events::{Completed, EndReason, SpawnFailureKind};
use cc_protocol::{
    METHODS,
    control::ControlType,
    error::{ErrorCode, ErrorObject},
};
use serde_json::Value;

use crate::{config::limits, session::registry::NoSession, task::registry::Refusal};

/// Longest name of a method that an error repeats.
const METHOD_CHARS: usize = 100;
/// Longest id of a session that an error repeats.
const SESSION_ID_CHARS: usize = 64;

/// Why a call fails. The text is the error's message.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("{}", unknown_method(.0))]
    UnknownMethod(String),

    /// A message or a batch of calls that is too large.
    #[error("Invalid Request: there may be at most {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("the answer is too long to be sent: shorten the id or the parameters")]
    AnswerTooLong,

    /// `member` is the parameter, or a member of the parameter, that holds the position.
    #[error("Invalid params: {member} is {seq}, and the last event of this task is {last_seq}")]
    BeyondLastEvent { member: &'static str, seq: u64, last_seq: u64 },

    #[error("A process is already running")]
    AlreadyRunning { task_id: String },
    #[error("{limit} tasks run already, and no more may: try again later")]
    TooManyTasks { limit: usize },
    /// Where it is known, the task that was not started because of it.
    #[error("the supervisor is stopping and takes no new tasks")]
    Stopping { task_id: Option<String> },
    #[error("the task could not be started: {}", start_problem(completed))]
    NotStarted { task_id: String, completed: Box<Completed> },
    #[error("the supervisor failed while it ran the task; its log says why")]
    OwnerFailed,
    /// The `execute` waited for a canceled task to be gone when the client canceled again.
    #[error("the task was canceled before it could be started")]
    Withdrawn,

    #[error("No process is running")]
    NoProcess { task_id: Option<String> },
    #[error("the task was not {} within {} s", .control.done(), limits::CONTROL_ANSWER.as_secs())]
    NotConfirmed { control: ControlType },

    #[error("Invalid params: task_id is a task whose events this connection gets already")]
    AlreadyAttached { task_id: String },
    #[error("a connection can be attached to {limit} {what}: detach one first")]
    TooManyAttachments { what: &'static str, limit: usize },
    #[error("Invalid params: task_id is a task that this connection is not attached to")]
    TaskNotAttached { task_id: String },
    #[error("Invalid params: batch_id is a batch that this connection is not attached to")]
    BatchNotAttached { batch_id: String },

    #[error("this session is closed, or another connection has it")]
    LostSession,
    #[error("{}", no_session(*.reason))]
    NoSession { session_id: String, reason: NoSession },
    #[error("Invalid params: session_id {problem}")]
    NotResumable { problem: &'static str },
}

impl CallError {
    /// The answer to an `execute` whose task has ended without its main process having run.
    pub(super) fn not_started(task_id: String, completed: Box<Completed>) -> Self {
        match completed.reason {
            EndReason::SupervisorLost => Self::Stopping { task_id: Some(task_id) },
            EndReason::Exit
            | EndReason::Signal
            | EndReason::Canceled
            | EndReason::Timeout
            | EndReason::IdleTimeout
            | EndReason::Lingered
            | EndReason::OutputLimit
            | EndReason::SpawnFailed
            | EndReason::WorkerDied
            | EndReason::ResourceLimit
            | EndReason::Disconnected => Self::NotStarted { task_id, completed },
        }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownMethod(_) => ErrorCode::MethodNotFound,
            Self::TooMany { .. } | Self::AnswerTooLong => ErrorCode::InvalidRequest,
            Self::BeyondLastEvent { .. }
            | Self::AlreadyRunning { .. }
            | Self::AlreadyAttached { .. }
            | Self::TaskNotAttached { .. }
            | Self::BatchNotAttached { .. }
            | Self::NotResumable { .. } => ErrorCode::InvalidParams,
            Self::TooManyTasks { .. } | Self::TooManyAttachments { .. } => ErrorCode::QueueFull,
            Self::Stopping { .. } => ErrorCode::Draining,
            Self::NotStarted { .. } | Self::Withdrawn => ErrorCode::SpawnFailed,
            Self::OwnerFailed | Self::NotConfirmed { .. } => ErrorCode::InternalError,
            Self::NoProcess { .. } => ErrorCode::NoProcess,
            Self::LostSession | Self::NoSession { reason: NoSession::Expired, .. } => {
                ErrorCode::SessionExpired
            }
            Self::NoSession { reason: NoSession::Unknown, .. } => ErrorCode::SessionUnknown,
        }
    }

    /// The members of `error.data` beside those that every error has.
    fn data(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::UnknownMethod(method) => nearest_method(method)
                .map(|known| ("suggestion", known.into()))
                .into_iter()
                .collect(),
            Self::TooMany { limit, .. }
            | Self::TooManyTasks { limit }
            | Self::TooManyAttachments { limit, .. } => vec![("limit", (*limit).into())],
            Self::BeyondLastEvent { member, last_seq, .. } => {
                let field = member.split('.').next().unwrap_or(member);
                vec![("field", field.into()), ("last_seq", (*last_seq).into())]
            }
            Self::AlreadyRunning { task_id }
            | Self::Stopping { task_id: Some(task_id) }
            | Self::NoProcess { task_id: Some(task_id) } => {
                vec![("task_id", task_id.as_str().into())]
            }
            Self::AlreadyAttached { task_id } | Self::TaskNotAttached { task_id } => {
                vec![("field", "task_id".into()), ("task_id", task_id.as_str().into())]
            }
            Self::BatchNotAttached { batch_id } => {
                vec![("field", "batch_id".into()), ("batch_id", batch_id.as_str().into())]
            }
            Self::NotStarted { task_id, completed } => vec![
                ("task_id", task_id.as_str().into()),
                ("reason", start_problem(completed).into()),
                ("end_reason", completed.reason.as_str().into()),
                ("exit_code", completed.exit_code.into()),
                // What the machine lacks says nothing about the task: the same call may succeed soon.
                ("retryable", (completed.spawn_failure == Some(SpawnFailureKind::Means)).into()),
            ],
            Self::Withdrawn => {
                let reason = EndReason::Canceled.as_str();
                vec![("reason", reason.into()), ("end_reason", reason.into())]
            }
            Self::NoSession { session_id, .. } => {
                vec![("session_id", shorten(session_id, SESSION_ID_CHARS).into())]
            }
            Self::NotResumable { .. } => vec![("field", "session_id".into())],
            Self::AnswerTooLong
            | Self::Stopping { task_id: None }
            | Self::NoProcess { task_id: None }
            | Self::OwnerFailed
            | Self::NotConfirmed { .. }
            | Self::LostSession => Vec::new(),
        }
    }
}

impl From<CallError> for ErrorObject {
    fn from(error: CallError) -> Self {
        let object = Self::new(error.code(), error.to_string());
        error.data().into_iter().fold(object, |object, (key, value)| object.with(key, value))
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Stopping { task_id: None },
            Refusal::Full { limit } => Self::TooManyTasks { limit },
        }
    }
}

fn start_problem(completed: &Completed) -> &str {
    completed.error.as_deref().unwrap_or(completed.reason.as_str())
}

fn no_session(reason: NoSession) -> &'static str {
    match reason {
        NoSession::Unknown => "there is no such session, or this is not its token",
        NoSession::Expired => {
            "the session is over: it was closed, or had no connection for too long; \
             task.list shows what became of its tasks"
        }
    }
}

fn unknown_method(method: &str) -> String {
    let shown = shorten(method, METHOD_CHARS);
    match nearest_method(method) {
        Some(known) => format!("Method not found: {shown:?}; did you mean {known:?}?"),
        None => format!("Method not found: {shown:?}; known are {}", METHODS.join(", ")),
    }
}

/// The method that was probably meant.
fn nearest_method(method: &str) -> Option<&'static str> {
    let shown = shorten(method, METHOD_CHARS);
    METHODS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&shown, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| known)
}

fn shorten(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
