//! What is known of an attempt that has ended.

use cc_events::{ClaudeResult, ClaudeRetry, Completed};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub completed: &'a Completed,
    /// The last result line of a Claude task.
    pub result: Option<&'a ClaudeResult>,
    /// The last retry that the CLI reported.
    pub last_retry: Option<&'a ClaudeRetry>,
    /// A usage limit was named, as the crate `cc-claude` reads it from the last limit report or the
    /// result. A 429 alone is none.
    pub usage_limit: Option<UsageLimit>,
    /// Nothing but a person's act will help, as the crate `cc-claude` reads it.
    pub dead_end: Option<DeadEnd>,
    /// Where the task was not started: the missing resource, if it may return.
    pub want: Option<Want>,
    /// How far the stream came.
    pub tool_use: ToolUse,
}

/// What only a person can put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadEnd {
    /// It concerns every task of the account.
    Account,
    /// It concerns every task of the model.
    Model,
    /// It concerns every task of the model: the account does not pay for its long context.
    LongContext,
}

/// The resource whose lack kept a task from being started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// The machine lacks something: processes, memory, descriptors, room on a disk, the worker's program.
    Means,
    /// The agent's program, or the folder of the whole batch, was there and has gone.
    Program,
}

/// A usage limit that rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimit {
    /// When it ends, milliseconds since the epoch; `None` where that is not known.
    pub ends_at_ms: Option<u64>,
}

/// How far a Claude task came, as its stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolUse {
    /// Not one line of a stream: the CLI did not take its arguments, or it is no Claude task.
    NotBegun,
    /// It began, and for sure no tool ran.
    NoTool,
    /// A tool ran, or may have.
    Tool,
}
