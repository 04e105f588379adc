//! The tasks of a batch, one row each, with their attempts and results.

use cc_events::{ClaudeResultPart, EndReason, Verdict, Warning};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::task::is_zero;

/// Most rows in one answer to `batch.rows`; it may hold fewer, to stay a legal message.
pub const ROWS_LIMIT: u64 = 10_000;
/// Longest [`BatchRow::result`], bytes; `batch.result` gives more of it.
pub const RESULT_BYTES_LIMIT: usize = 16 * 1024;
/// Longest [`WholeResult::result`], bytes. Its JSON form has at most twice as many, which is less only for a text
/// full of control characters, so that it fits a message.
pub const WHOLE_RESULT_BYTES_LIMIT: usize = 256 * 1024;
/// Longest [`BatchRow::structured_output`], bytes of JSON; a longer one is only in the task's output.
pub const STRUCTURED_OUTPUT_BYTES_LIMIT: usize = 16 * 1024;
/// Longest [`BatchAttempt::stdout_tail`] and [`BatchAttempt::stderr_tail`] of the newest attempt, bytes.
pub const TAIL_BYTES_LIMIT: usize = 4 * 1024;
/// The same of every earlier attempt, so that a row with many of them still fits a message.
pub const EARLIER_TAIL_BYTES_LIMIT: usize = 1024;

/// Where a task of a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Its turn has not come, or it waits at the gate of its credentials: for a limit, or for tasks of other batches.
    Waiting,
    /// The task or one of its hooks runs.
    Running,
    /// Between two attempts.
    Retrying,
    /// It has its verdict.
    Over,
    /// It will never begin.
    Skipped,
}

impl RowState {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Over => "over",
            Self::Skipped => "skipped",
        }
    }
}

/// What may follow the end of an attempt that has not succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptClass {
    /// The same may work soon.
    Transient,
    /// It works when a limit has ended.
    Limit,
    /// It could not be started because a resource was missing that may return. Such a wait is not counted as an attempt.
    Unavailable,
    /// The same is not tried again.
    Final,
}

/// One start of a task of a batch. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAttempt {
    /// For `task.*`.
    pub task_id: String,
    /// From 1. A start after a wait for a limit has the number of the one before.
    pub attempt: u32,
    /// When it was accepted.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// What its end means.
    pub verdict: Option<Verdict>,
    /// What ended it.
    pub reason: Option<EndReason>,
    /// As in `process.completed`.
    pub exit_code: Option<i32>,
    /// Bytes that it has printed; null until it has ended.
    pub output_bytes: Option<u64>,
    /// What may follow; null while it runs, and where it has succeeded.
    pub class: Option<AttemptClass>,
    /// When the next one begins, where one follows.
    pub wait_until_ms: Option<u64>,
    /// The end of its standard output: whole lines, no control characters but newlines and tabs. Of a Claude
    /// stream the lines that are none of it, and the end of the answer. At most [`TAIL_BYTES_LIMIT`], of earlier
    /// attempts [`EARLIER_TAIL_BYTES_LIMIT`]; none where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_tail: Option<String>,
    /// The same on standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
}

impl BatchAttempt {
    /// One that has just been accepted, `started_ms` after the Unix epoch: nothing is known of its end.
    #[must_use]
    pub fn accepted(task_id: String, attempt: u32, started_ms: u64) -> Self {
        Self {
            task_id,
            attempt,
            started_ms,
            ended_ms: None,
            verdict: None,
            reason: None,
            exit_code: None,
            output_bytes: None,
            class: None,
            wait_until_ms: None,
            stdout_tail: None,
            stderr_tail: None,
        }
    }
}

/// One task of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRow {
    /// From 0.
    pub index: u64,
    /// By which other tasks refer to it.
    pub name: Option<String>,
    /// The name for people that the plan gave it.
    pub label: Option<String>,
    /// The beginning of what it runs.
    pub title: String,
    /// Where it stands.
    pub state: RowState,
    /// Its verdict, once it has one.
    pub verdict: Option<Verdict>,
    /// What ended its last attempt.
    pub reason: Option<EndReason>,
    /// Of its last attempt, as in `process.completed`.
    pub exit_code: Option<i32>,
    /// For people: what went wrong.
    pub error: Option<String>,
    /// Why it was skipped.
    pub why: Option<String>,
    /// Every start, the first one first.
    pub attempts: Vec<BatchAttempt>,
    /// The text of its result, cut to [`RESULT_BYTES_LIMIT`]: see [`WholeResult`].
    pub result: Option<String>,
    /// `result` was cut.
    pub result_truncated: bool,
    /// The CLI's own judgement.
    pub is_error: Option<bool>,
    /// What all its attempts have cost, US dollars; null where that is not known.
    pub cost_usd: Option<f64>,
    /// Those of its attempts whose cost is not known: where there are any, `cost_usd` is a lower bound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_costs: u64,
    /// Of all its attempts, subagents included, as far as their results say so; with those that were read from a cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// See `input_tokens`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Of `input_tokens`, those that were read from a cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Of `input_tokens`, those that were put into a cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_creation_tokens: u64,
    /// Turns of its last attempt.
    pub num_turns: Option<u64>,
    /// Token counts of the main loop of its last attempt, as they came.
    pub usage: Option<Value>,
    /// Of its last attempt, for `--resume`; also where that was ended before it had a result.
    pub claude_session_id: Option<String>,
    /// What a person should know of its last attempt, whatever the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The answer to a JSON schema, unless it is longer than [`STRUCTURED_OUTPUT_BYTES_LIMIT`].
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
    /// Every result of the run, where there were several; of each the beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ClaudeResultPart>,
    /// The CLI's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli_version: Option<String>,
    /// Where the CLI's API key came from, in its own word; `none` for a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_source: Option<String>,
    /// Of all its attempts together, without the waits between them.
    pub duration_ms: Option<u64>,
    /// Of all its attempts.
    pub killed_leftovers: u64,
    /// The timeout of an attempt, seconds; null before the first one.
    pub timeout_s: Option<f64>,
    /// Where a timeout was chosen for it: why this one.
    pub timeout_why: Option<String>,
}

/// The result of `batch.rows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRowsResult {
    /// In the plan's order.
    pub rows: Vec<BatchRow>,
    /// Whether there are more.
    pub has_more: bool,
}

/// The result of `batch.result`: what [`BatchRow::result`] is the beginning of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeResult {
    /// At most [`WHOLE_RESULT_BYTES_LIMIT`] of it; null where the row has none.
    pub result: Option<String>,
    /// This is not all that the task said.
    pub truncated: bool,
    /// Of its last attempt, whose log has the rest; null before the first one.
    pub task_id: Option<String>,
}
