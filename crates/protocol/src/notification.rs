//! What the server says unasked.
//!
//! Each struct is the `params` of one notification; [`Notification`] names them. Fields that only
//! newer clients know stand after the ones that every client depends on.

use std::borrow::Cow;

use cc_events::{ClaudeFacts, ClaudeResultPart, EndReason, OutputCounts, Verdict, Warning};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::{BatchCompleted, BatchProgress};

/// A notification: `method` and `params`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params")]
pub enum Notification<'a> {
    /// The first message of every connection.
    #[serde(rename = "connected")]
    Connected(Connected),
    /// The main process runs.
    #[serde(rename = "process.started")]
    Started(ProcessStatus),
    /// One line of output with its newline, or a piece of one.
    #[serde(rename = "process.output", borrow)]
    Output(ProcessOutput<'a>),
    /// Several of them; only on a session that asked for it.
    #[serde(rename = "process.output_batch", borrow)]
    OutputBatch(OutputBatch<'a>),
    /// The whole tree is stopped.
    #[serde(rename = "process.paused")]
    Paused(ProcessStatus),
    /// The whole tree goes on.
    #[serde(rename = "process.resumed")]
    Resumed(ProcessStatus),
    /// The task is being ended on request; `process.completed` comes when the tree is gone.
    #[serde(rename = "process.canceled")]
    Canceled(ProcessStatus),
    /// The terminal event of a task.
    #[serde(rename = "process.completed")]
    Completed(Box<ProcessCompleted>),
    /// Something went wrong outside any request.
    #[serde(rename = "process.error")]
    Error(ProcessError),
    /// The task's output reports a rate limit.
    #[serde(rename = "error.rate_limit_exceeded")]
    RateLimited(LimitExceeded),
    /// The task's output reports a token limit.
    #[serde(rename = "error.token_limit_exceeded")]
    TokenLimited(LimitExceeded),
    /// The middle of an over-long output was dropped here.
    #[serde(rename = "output.dropped")]
    OutputDropped(OutputDropped),
    /// The result of a Claude task, before its `process.completed`.
    #[serde(rename = "task.result")]
    TaskResult(Box<TaskResult>),
    /// The Claude CLI tries an API request again.
    #[serde(rename = "task.retrying")]
    TaskRetrying(TaskRetrying),
    /// Something has changed in a batch that this connection is attached to.
    #[serde(rename = "batch.progress")]
    BatchProgress(Box<BatchProgress>),
    /// Such a batch is over.
    #[serde(rename = "batch.completed")]
    BatchCompleted(Box<BatchCompleted>),
}

impl Notification<'_> {
    /// The method of every notification, so that a client can tell an unknown one, which it skips,
    /// from a known one that it cannot read, which is an error.
    pub const METHODS: [&'static str; 16] = [
        "connected",
        "process.started",
        "process.output",
        "process.output_batch",
        "process.paused",
        "process.resumed",
        "process.canceled",
        "process.completed",
        "process.error",
        "error.rate_limit_exceeded",
        "error.token_limit_exceeded",
        "output.dropped",
        "task.result",
        "task.retrying",
        "batch.progress",
        "batch.completed",
    ];

    /// Which event of which task it is. None for what is no event, and for a batch, which is several.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Started(params)
            | Self::Paused(params)
            | Self::Resumed(params)
            | Self::Canceled(params) => Some(&params.position),
            Self::Output(params) => Some(&params.position),
            Self::Completed(params) => Some(&params.position),
            Self::RateLimited(params) | Self::TokenLimited(params) => Some(&params.position),
            Self::OutputDropped(params) => Some(&params.position),
            Self::TaskResult(params) => Some(&params.position),
            Self::TaskRetrying(params) => Some(&params.position),
            Self::Connected(_)
            | Self::Error(_)
            | Self::OutputBatch(_)
            | Self::BatchProgress(_)
            | Self::BatchCompleted(_) => None,
        }
    }

    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Notification<'static> {
        match self {
            Self::Connected(params) => Notification::Connected(params),
            Self::Started(params) => Notification::Started(params),
            Self::Output(params) => Notification::Output(params.into_owned()),
            Self::OutputBatch(params) => Notification::OutputBatch(params.into_owned()),
            Self::Paused(params) => Notification::Paused(params),
            Self::Resumed(params) => Notification::Resumed(params),
            Self::Canceled(params) => Notification::Canceled(params),
            Self::Completed(params) => Notification::Completed(params),
            Self::Error(params) => Notification::Error(params),
            Self::RateLimited(params) => Notification::RateLimited(params),
            Self::TokenLimited(params) => Notification::TokenLimited(params),
            Self::OutputDropped(params) => Notification::OutputDropped(params),
            Self::TaskResult(params) => Notification::TaskResult(params),
            Self::TaskRetrying(params) => Notification::TaskRetrying(params),
            Self::BatchProgress(params) => Notification::BatchProgress(params),
            Self::BatchCompleted(params) => Notification::BatchCompleted(params),
        }
    }
}

/// A notification with its envelope, as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message<'a> {
    /// Always `"2.0"`.
    pub jsonrpc: Cow<'a, str>,
    /// Method and parameters.
    #[serde(flatten, borrow)]
    pub notification: Notification<'a>,
}

impl<'a> Message<'a> {
    /// Puts the envelope around a notification.
    #[must_use]
    pub fn new(notification: Notification<'a>) -> Self {
        Self { jsonrpc: Cow::Borrowed(crate::envelope::VERSION), notification }
    }
}

/// Which task, and which of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// uuid v7.
    pub task_id: String,
    /// From 1 without gaps.
    pub seq: u64,
}

/// `connected`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connected {
    /// uuid of the session.
    pub session_id: String,
    /// Version of the server.
    pub version: String,
    /// What this server can do.
    pub capabilities: Vec<String>,
    /// The secret by which this session can be resumed on another connection.
    #[serde(default)]
    pub resume_token: String,
    /// How long the session waits for that after its connection has ended, seconds; 0: not at all.
    #[serde(default)]
    pub resume_grace_s: f64,
    /// Seconds between WebSocket pings.
    pub heartbeat_interval_s: f64,
    /// The limits that a client can meet.
    pub limits: Limits,
}

/// The limits that a client can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest message that a client may send.
    pub message_bytes: usize,
    /// Sessions at once.
    pub sessions: usize,
    /// Default line limit of a task.
    pub line_bytes: u64,
    /// Default output limit of a task.
    pub output_bytes: u64,
}

/// `process.started`, `.paused`, `.resumed`, `.canceled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// `started`, `paused`, `resumed` or `canceled`.
    pub status: Cow<'static, str>,
    /// Main process.
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

/// `process.output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessOutput<'a> {
    /// `stdout` or `stderr`.
    #[serde(rename = "type")]
    pub stream: Cow<'a, str>,
    /// The text; bytes that are no UTF-8 became U+FFFD.
    pub data: Cow<'a, str>,
    /// The line was longer than the line limit.
    pub truncated: bool,
    /// Place of a piece within its line, from 0; null for a whole line.
    pub chunk_index: Option<u32>,
    /// Always null: lines are sent before their length is known.
    pub total_chunks: Option<u32>,
    /// Whether this is the last piece of its line; only with `chunk_index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_chunk: Option<bool>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

impl ProcessOutput<'_> {
    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> ProcessOutput<'static> {
        ProcessOutput {
            stream: Cow::Owned(self.stream.into_owned()),
            data: Cow::Owned(self.data.into_owned()),
            truncated: self.truncated,
            chunk_index: self.chunk_index,
            total_chunks: self.total_chunks,
            last_chunk: self.last_chunk,
            position: self.position,
        }
    }
}

/// `process.output_batch`: consecutive lines of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputBatch<'a> {
    /// uuid v7.
    pub task_id: String,
    /// In their order, at least one.
    #[serde(borrow)]
    pub items: Vec<OutputItem<'a>>,
}

/// One of them: [`ProcessOutput`] without the task, and without what is null there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputItem<'a> {
    /// From 1 without gaps.
    pub seq: u64,
    /// `stdout` or `stderr`.
    #[serde(rename = "type")]
    pub stream: Cow<'a, str>,
    /// The text; bytes that are no UTF-8 became U+FFFD.
    pub data: Cow<'a, str>,
    /// The line was longer than the line limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Place of a piece within its line, from 0; not there for a whole line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_index: Option<u32>,
    /// Whether this is the last piece of its line; only with `chunk_index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_chunk: Option<bool>,
}

impl OutputBatch<'_> {
    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> OutputBatch<'static> {
        let own = |item: OutputItem<'_>| OutputItem {
            seq: item.seq,
            stream: Cow::Owned(item.stream.into_owned()),
            data: Cow::Owned(item.data.into_owned()),
            truncated: item.truncated,
            chunk_index: item.chunk_index,
            last_chunk: item.last_chunk,
        };
        OutputBatch { task_id: self.task_id, items: self.items.into_iter().map(own).collect() }
    }
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

/// `output.dropped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDropped {
    /// Lines of which at least a part is missing.
    pub lines: u64,
    /// Bytes that are missing.
    pub bytes: u64,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

/// `task.result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The CLI's own judgement.
    pub is_error: bool,
    /// The answer, cut to 256 KiB; the whole of it is in the output.
    pub result: Option<String>,
    /// `result` was cut.
    pub result_truncated: bool,
    /// HTTP status of the API's refusal.
    pub api_error_status: Option<u64>,
    /// For `resume_claude_session`.
    pub claude_session_id: Option<String>,
    /// Turns taken.
    pub num_turns: Option<u64>,
    /// Cost by the CLI's own reckoning.
    pub total_cost_usd: Option<f64>,
    /// Token counts, as they came.
    pub usage: Option<Value>,
    /// The model that answered.
    pub model: Option<String>,
    /// Why the CLI's loop ended.
    pub terminal_reason: Option<String>,
    /// The CLI's `subtype`.
    pub subtype: Option<String>,
    /// Token counts and cost of every model, subagents included, as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_usage: Option<Value>,
    /// What the CLI says went wrong, where it has no answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The answer to a JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<Value>,
    /// The CLI's word for a failure before its first turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_failure_reason: Option<String>,
    /// The CLI's word for the API's refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_error: Option<String>,
    /// Names of the tools whose calls were denied, one a call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_denials: Vec<String>,
    /// Every result of the run, where there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ClaudeResultPart>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

/// `task.retrying`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRetrying {
    /// From 1.
    pub attempt: u64,
    /// After this many the CLI gives up.
    pub max_retries: u64,
    /// Until the retry.
    pub retry_delay_ms: u64,
    /// HTTP status, where there was an answer.
    pub error_status: Option<u64>,
    /// The CLI's word for it.
    pub error: Option<String>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}
