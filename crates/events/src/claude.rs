//! What the output stream of the Claude CLI says of itself, as far as it is understood.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether a task's stdout is read as a Claude Code `stream-json` stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaudeStream {
    /// Plain output.
    No,
    /// Read it if it is one; success does not depend on it.
    Observed,
    /// It must be one: without a result line the task has not succeeded.
    Required,
}

/// One retry, as `{"type":"system","subtype":"api_retry",…}` reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaudeRetry {
    /// Counts from 1.
    pub attempt: u64,
    /// After so many attempts the CLI gives up.
    pub max_retries: u64,
    /// How long the CLI waits before the retry.
    pub retry_delay_ms: u64,
    /// HTTP status of the API's answer; `None` where there was none.
    pub error_status: Option<u64>,
    /// The CLI's word for it, such as `rate_limit` or `authentication_failed`.
    pub error: Option<String>,
}

/// A limit, as the Claude CLI reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReport {
    /// The CLI's own text.
    pub message: String,
    /// When it ends (seconds since the Unix epoch), where the CLI says so.
    pub resets_at_s: Option<u64>,
    /// Which limit of the account, in the CLI's word: `five_hour`, `seven_day_opus`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Why time alone does not lift it, in the CLI's word, such as `out_of_credits`: a person must act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
}

/// The last result line of a Claude task, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaudeResult {
    /// The CLI's own judgement; its `subtype` says `success` even for failures.
    pub is_error: bool,
    /// The answer, cut to 256 KiB; all of it is in the output.
    pub result: Option<String>,
    /// Whether `result` was cut.
    pub result_truncated: bool,
    /// HTTP status of the API's refusal.
    pub api_error_status: Option<u64>,
    /// The conversation, for `--resume`.
    pub claude_session_id: Option<String>,
    /// Turns taken.
    pub num_turns: Option<u64>,
    /// Cost by the CLI's own reckoning.
    pub total_cost_usd: Option<f64>,
    /// Token counts of the main loop's last turn, as they came.
    pub usage: Option<serde_json::Value>,
    /// The model of the stream's `init` line.
    pub model: Option<String>,
    /// Why the CLI's loop ended, such as `completed` or `max_turns`.
    pub terminal_reason: Option<String>,
    /// The CLI's `subtype`, such as `success` or `error_max_turns`.
    pub subtype: Option<String>,
    /// Token counts and cost of every model, subagents included, as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_usage: Option<serde_json::Value>,
    /// What the CLI says went wrong, where it has no answer: at most 16 texts of 4 KiB.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The answer to a JSON schema, at most 256 KiB of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<serde_json::Value>,
    /// The CLI's word for a failure before its first turn, such as `config_file_invalid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_failure_reason: Option<String>,
    /// The CLI's word for the API's refusal, such as `billing_error` or `model_not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_error: Option<String>,
    /// Names of the tools whose calls were denied, one a call, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_denials: Vec<String>,
    /// Every result of the run in its order, where there were several; at most 16, the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ClaudeResultPart>,
}

/// One of several results of one run: the answer to the prompt, or to a notification from background work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaudeResultPart {
    /// What the turn answered, in the CLI's word, such as `task-notification`; none for the prompt itself.
    pub origin: Option<String>,
    /// The CLI's own judgement.
    pub is_error: bool,
    /// The beginning of its text, at most 4 KiB.
    pub result: Option<String>,
    /// Turns taken.
    pub num_turns: Option<u64>,
}

/// What the stream of a Claude task says of the CLI and its conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaudeFacts {
    /// The conversation, for `--resume`; also of a task that was ended before its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The CLI's version, by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli_version: Option<String>,
    /// Where its API key came from, in its own word; `none` for a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_source: Option<String>,
    /// Names of line types and members that this version does not know, with how often each came; at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, u64>,
}
