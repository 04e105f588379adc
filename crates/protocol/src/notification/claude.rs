//! `task.result`, `task.retrying` and the limits: what the stream of a Claude task says.

use cc_events::ClaudeResultPart;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::position::Position;

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
