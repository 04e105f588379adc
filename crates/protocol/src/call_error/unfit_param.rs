//! A parameter that is well formed and does not fit the server's state or its configuration.

use serde_json::{Map, Value};

use super::shown::shown_id;

/// Which parameter does not fit, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitParam {
    /// A position after the task's last event.
    BeyondLastEvent {
        /// The parameter, or its member, that holds the position: `after.seq`.
        member: &'static str,
        /// The position that was sent.
        seq: u64,
        /// The task's last event.
        last_seq: u64,
    },
    /// The connection gets the task's events already.
    AlreadyAttached {
        /// As it was sent.
        task_id: String,
    },
    /// The connection is not attached to the task.
    TaskNotAttached {
        /// As it was sent.
        task_id: String,
    },
    /// The connection is not attached to the batch.
    BatchNotAttached {
        /// As it was sent.
        batch_id: String,
    },
    /// The session to be resumed is the connection's own.
    OwnSession,
    /// A session cannot be resumed on a connection that has run a task.
    ConnectionUsed,
    /// The idempotency key is that of a batch with another plan.
    OtherPlan {
        /// The batch that has the key.
        batch_id: String,
    },
    /// The batch has no task of this index.
    NoSuchIndex {
        /// As it was sent.
        batch_id: String,
        /// How many tasks it has.
        tasks: usize,
    },
    /// The batch to be resumed has not ended.
    BatchNotOver,
    /// No plan can be made of the batch's rest.
    BatchNotResumable {
        /// Why, for people.
        problem: String,
    },
    /// There is no such gate.
    NoSuchGate {
        /// As it was sent.
        gate_id: String,
    },
    /// With a list of allowed commands a command is split into words, and this one cannot be.
    CommandNotSplit {
        /// Why, for people.
        problem: String,
    },
    /// With a list of allowed commands a command must have a word.
    CommandEmpty,
    /// With a list of allowed commands no variable is set that chooses what is run.
    VariableNotAllowed {
        /// The variable's name.
        name: String,
    },
    /// More is wished than the server allows.
    OverLimit {
        /// The parameter's name.
        field: &'static str,
        /// Most that is allowed.
        limit: u64,
    },
}

impl UnfitParam {
    /// Name of the parameter, or of its member.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::BeyondLastEvent { member, .. } => member,
            Self::AlreadyAttached { .. } | Self::TaskNotAttached { .. } => "task_id",
            Self::BatchNotAttached { .. } | Self::BatchNotOver | Self::BatchNotResumable { .. } => {
                "batch_id"
            }
            Self::OwnSession | Self::ConnectionUsed => "session_id",
            Self::OtherPlan { .. } => "idempotency_key",
            Self::NoSuchIndex { .. } => "index",
            Self::NoSuchGate { .. } => "gate_id",
            Self::CommandNotSplit { .. } | Self::CommandEmpty => "command",
            Self::VariableNotAllowed { .. } => "env",
            Self::OverLimit { field, .. } => field,
        }
    }

    /// Reads on after the parameter's name: what is wrong, and what to do.
    pub(super) fn problem(&self) -> String {
        match self {
            Self::BeyondLastEvent { seq, last_seq, .. } => {
                format!("is {seq}, and the last event of this task is {last_seq}")
            }
            Self::AlreadyAttached { .. } => {
                "is a task whose events this connection gets already".to_owned()
            }
            Self::TaskNotAttached { .. } => {
                "is a task that this connection is not attached to".to_owned()
            }
            Self::BatchNotAttached { .. } => {
                "is a batch that this connection is not attached to".to_owned()
            }
            Self::OwnSession => "is the session of this connection already".to_owned(),
            Self::ConnectionUsed => {
                "cannot be resumed on a connection that has run a task: use a new connection"
                    .to_owned()
            }
            Self::OtherPlan { batch_id } => format!(
                "is that of batch {batch_id}, which has another plan: give this one another key"
            ),
            Self::NoSuchIndex { batch_id, tasks } => {
                format!("must be less than {tasks}, the number of tasks of batch {batch_id}")
            }
            Self::BatchNotOver => {
                "is a batch that is not over: wait for it, or cancel it".to_owned()
            }
            Self::BatchNotResumable { problem } => {
                format!("is a batch that cannot be resumed: {problem}")
            }
            Self::NoSuchGate { gate_id } => {
                format!("is no gate: {:?}; see gate.list", shown_id(gate_id))
            }
            Self::CommandNotSplit { problem } => format!("cannot be split into words: {problem}"),
            Self::CommandEmpty => "has no words".to_owned(),
            Self::VariableNotAllowed { name } => format!(
                "must not set {}: it chooses what is run, and this server allows some commands only; leave it out",
                shown_id(name)
            ),
            Self::OverLimit { limit, .. } => format!("must be at most {limit}"),
        }
    }

    /// What stands in `data` beside `kind` and `retryable`.
    pub(super) fn into_data(self) -> Map<String, Value> {
        // Of a member of a parameter the parameter is named.
        let field = self.field().split('.').next();
        let mut data = Map::from_iter([("field".to_owned(), field.into())]);
        let mut add = |key: &str, value: Value| data.insert(key.to_owned(), value);
        match self {
            Self::BeyondLastEvent { last_seq, .. } => add("last_seq", last_seq.into()),
            Self::AlreadyAttached { task_id } | Self::TaskNotAttached { task_id } => {
                add("task_id", task_id.into())
            }
            Self::BatchNotAttached { batch_id }
            | Self::OtherPlan { batch_id }
            | Self::NoSuchIndex { batch_id, .. } => add("batch_id", batch_id.into()),
            Self::OverLimit { limit, .. } => add("limit", limit.into()),
            Self::OwnSession
            | Self::ConnectionUsed
            | Self::BatchNotOver
            | Self::BatchNotResumable { .. }
            | Self::NoSuchGate { .. }
            | Self::CommandNotSplit { .. }
            | Self::CommandEmpty
            | Self::VariableNotAllowed { .. } => None,
        };
        data
    }
}
