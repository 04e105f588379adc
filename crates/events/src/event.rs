//! What happens to a task, as the worker numbers and records it.

use serde::{Deserialize, Serialize};

use crate::{
    claude::{ClaudeResult, ClaudeRetry, LimitReport},
    completed::{Completed, EndReason},
    isolation::Isolation,
    output::Dropped,
};

/// Something that happened to a task other than output. Its number and time are in the record around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The main process was started.
    Started(Started),
    /// The whole tree is stopped.
    Paused,
    /// The whole tree runs again.
    Resumed,
    /// The worker has begun to end the task on request.
    Canceled {
        /// Whose request it is.
        reason: EndReason,
    },
    /// The middle of an over-long output was dropped here.
    OutputDropped(Dropped),
    /// The Claude CLI reports that it tries an API request again.
    ClaudeRetrying(ClaudeRetry),
    /// The Claude CLI reports a rate limit.
    RateLimited(LimitReport),
    /// The Claude CLI reports a token limit (context or output).
    TokenLimited(LimitReport),
    /// The last result line of a Claude task.
    ClaudeResult(Box<ClaudeResult>),
    /// The terminal event: the last one, exactly one.
    Completed(Box<Completed>),
}

/// A task whose main process was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Of the main process; also its process group and session.
    pub pid: i32,
    /// Of the worker.
    pub worker_pid: i32,
    /// What finds and kills everything that the task starts.
    pub containment: Containment,
    /// What it is kept from, and its limits.
    #[serde(default, skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
}

/// Which mechanism finds and kills everything that a task started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// A cgroup v2 leaf, and the subreaper for what leaves it.
    Cgroup,
    /// `PR_SET_CHILD_SUBREAPER` alone.
    Subreaper,
}

impl Containment {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Subreaper => "subreaper",
        }
    }
}
