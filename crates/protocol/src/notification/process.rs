//! `process.started` to `process.completed`, and `process.error`: the states of a task's main process.

use std::borrow::Cow;

use cc_events::{ClaudeFacts, EndReason, OutputCounts, Verdict, Warning};
use serde::{Deserialize, Serialize};

use crate::position::Position;

/// `process.started`, `.paused`, `.resumed`, `.canceled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// `started`, `paused`, `resumed` or `canceled`.
    pub status: Cow<'static, str>,
    /// The pid of the task's main process.
    pub pid: i32,
    /// Its process group.
    pub pgid: i32,
    /// Always null here.
    pub exit_code: Option<i32>,
    /// Always null here.
    pub error: Option<String>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

/// `process.completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessCompleted {
    /// `completed` for exit code 0, else `failed`.
    pub status: Cow<'static, str>,
    /// Main process; 0 if it never ran.
    pub pid: i32,
    /// Its process group.
    pub pgid: i32,
    /// Death by signal N is -N; never 0 when the server ended the task.
    pub exit_code: i32,
    /// What went wrong, unless the task ended by itself.
    pub error: Option<String>,
    /// Seconds from the start to the proof that the tree is gone.
    pub execution_time: f64,
    /// What ended the task.
    pub reason: EndReason,
    /// What the end means.
    pub verdict: Verdict,
    /// The signal that the main process died of.
    pub signal: Option<i32>,
    /// As `execution_time`.
    pub duration_ms: u64,
    /// User and system time of the whole tree.
    pub cpu_ms: u64,
    /// Largest resident set of any one process.
    pub max_rss_bytes: u64,
    /// What was printed.
    pub output: OutputCounts,
    /// How many processes outlived the main one and were killed.
    pub killed_leftovers: u64,
    /// How many could not be killed (uninterruptible sleep): normally 0.
    pub unkillable: u64,
    /// What a person should know beside the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What a Claude task's stream says of the CLI and its conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claude: Option<Box<ClaudeFacts>>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

/// `process.error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessError {
    /// What went wrong.
    pub error: String,
    /// The task, where it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
}
