//! `task.result`, `task.retrying` and the limits: what the stream of a Claude task says.

use cc_events::{ClaudeResult, ClaudeRetry};
use serde::{Deserialize, Serialize};

use crate::position::Position;

/// `task.result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// As the task's log has it, but for a `result` that would make the message too long.
    #[serde(flatten)]
    pub claude: ClaudeResult,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

/// `task.retrying`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRetrying {
    /// As the task's log has it.
    #[serde(flatten)]
    pub retry: ClaudeRetry,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

/// `error.rate_limit_exceeded` and `error.token_limit_exceeded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitExceeded {
    /// The CLI's own text.
    pub message: String,
    /// When it ends, seconds since the Unix epoch, where that is known.
    pub resets_at: Option<u64>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}
