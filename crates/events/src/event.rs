//! What happens to a task, as the worker numbers and records it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that happened to a task other than output. Its number and time are in the record around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The main process runs.
    Started(Started),
    /// The whole tree is stopped.
    Paused,
    /// The whole tree goes on.
    Resumed,
    /// The worker has begun to end the task on request.
    Canceled {
        /// Who asked.
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

/// The main process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Main process; also its process group and session.
    pub pid: i32,
    /// The worker.
    pub worker_pid: i32,
    /// What holds the tree together.
    pub containment: Containment,
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

/// Output that was read and thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Lines of which at least a part is missing.
    pub lines: u64,
    /// Bytes that are missing.
    pub bytes: u64,
}

/// One retry, as `{"type":"system","subtype":"api_retry",…}` reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaudeRetry {
    /// From 1.
    pub attempt: u64,
    /// After this many the CLI gives up.
    pub max_retries: u64,
    /// Until the retry.
    pub retry_delay_ms: u64,
    /// HTTP status, where there was an answer.
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
    /// The answer, cut to 256 KiB; the whole of it is in the output.
    pub result: Option<String>,
    /// `result` was cut.
    pub result_truncated: bool,
    /// HTTP status of the API's refusal.
    pub api_error_status: Option<u64>,
    /// Why the CLI's loop ended, such as `completed` or `max_turns`.
    pub terminal_reason: Option<String>,
    /// The CLI's `subtype`, such as `success` or `error_max_turns`.
    pub subtype: Option<String>,
    /// For `--resume`.
    pub claude_session_id: Option<String>,
    /// Turns taken.
    pub num_turns: Option<u64>,
    /// Cost by the CLI's own reckoning.
    pub total_cost_usd: Option<f64>,
    /// Token counts of the main loop's last turn, as they came.
    pub usage: Option<serde_json::Value>,
    /// The model of the stream's `init` line.
    pub model: Option<String>,
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

/// One of several results of one run: the answer to the prompt, or what came of a notice from the background.
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

/// Something that a person should know of a task's end, whatever its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// In words, with the names concerned.
    pub message: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// A tool's call was denied.
    PermissionDenied,
    /// Work in the background was announced and has not ended.
    BackgroundUnfinished,
    /// The task was ended after its result, with something still going on.
    EndedAfterResult,
    /// The answer is empty.
    EmptyAnswer,
    /// The result line was cut, or its answer is longer than what is kept.
    ResultTruncated,
    /// An MCP server did not start.
    McpServer,
    /// A plugin, or a part of one, did not load.
    Plugin,
    /// The CLI could not save the conversation or its settings.
    WritesLost,
    /// The conversation was begun anew in the middle.
    ConversationReset,
    /// The model refused, or another model answered in its place.
    Refusal,
    /// A limit is used up, and paid extra usage takes its place.
    ExtraUsage,
    /// The loop of the CLI ended for an unusual reason.
    TerminalReason,
    /// Results of notices from the background came beside the answer.
    SeveralResults,
}

impl WarningKind {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission_denied",
            Self::BackgroundUnfinished => "background_unfinished",
            Self::EndedAfterResult => "ended_after_result",
            Self::EmptyAnswer => "empty_answer",
            Self::ResultTruncated => "result_truncated",
            Self::McpServer => "mcp_server",
            Self::Plugin => "plugin",
            Self::WritesLost => "writes_lost",
            Self::ConversationReset => "conversation_reset",
            Self::Refusal => "refusal",
            Self::ExtraUsage => "extra_usage",
            Self::TerminalReason => "terminal_reason",
            Self::SeveralResults => "several_results",
        }
    }
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

/// How and why a task ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// Main process; 0 if it never ran.
    pub pid: i32,
    /// What ended the task.
    pub reason: EndReason,
    /// What the end means.
    pub verdict: Verdict,
    /// 0 only for a task that ended by itself and well; death by signal N is -N.
    pub exit_code: i32,
    /// The signal that the main process died of.
    pub signal: Option<i32>,
    /// For people: what went wrong, naming the limit and what to do. Always there unless the task
    /// ended by itself.
    pub error: Option<String>,
    /// From the start to the proof that the tree is gone.
    pub duration_ms: u64,
    /// User and system time of everything that was reaped.
    pub cpu_ms: u64,
    /// Largest resident set of any one process.
    pub max_rss_bytes: u64,
    /// What was read.
    pub output: OutputCounts,
    /// Processes that outlived the main one and were killed.
    pub killed_leftovers: u64,
    /// Processes that could not be killed within the bound (in uninterruptible sleep): normally 0.
    pub unkillable: u64,
    /// What a person should know beside the verdict; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What a Claude task's stream says of itself; none where there was no stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claude: Option<Box<ClaudeFacts>>,
    /// Of a task that could not be started: what was wanting, where that may come back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawn_failure: Option<SpawnFailureKind>,
}

/// What was wanting at a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFailureKind {
    /// Something of the machine's: a process, memory, a descriptor, room on a disk, the worker's program. It says
    /// nothing about the task.
    Means,
    /// The task's program, or the interpreter that it names, is not there or cannot be executed.
    Program,
    /// The task's working directory is not there.
    Folder,
}

/// What a task printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputCounts {
    /// Lines, the unfinished last one included.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of `lines`, those that are missing or incomplete because of the output limit.
    pub dropped_lines: u64,
    /// Of `bytes`, those that are missing because of the output limit.
    pub dropped_bytes: u64,
    /// Lines that were cut at the line limit.
    pub truncated_lines: u64,
}

/// What ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The main process exited.
    Exit,
    /// The main process died of a signal that was not ours.
    Signal,
    /// A client asked.
    Canceled,
    /// The total deadline.
    Timeout,
    /// The silence deadline, or no first output in time.
    IdleTimeout,
    /// A Claude task printed its result and did not exit.
    Lingered,
    /// Too much output, where the policy is to kill.
    OutputLimit,
    /// The task could not be started.
    SpawnFailed,
    /// The worker was killed, crashed or stopped answering.
    WorkerDied,
    /// The supervisor went away or was told to stop.
    SupervisorLost,
    /// A resource that the worker needs is exhausted: the disk for its log, memory, descriptors.
    ResourceLimit,
    /// The client went away.
    Disconnected,
}

impl EndReason {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Lingered => "lingered",
            Self::OutputLimit => "output_limit",
            Self::SpawnFailed => "spawn_failed",
            Self::WorkerDied => "worker_died",
            Self::SupervisorLost => "supervisor_lost",
            Self::ResourceLimit => "resource_limit",
            Self::Disconnected => "disconnected",
        }
    }
}

/// What a task's end means to the person who wanted it done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Exit code 0, and for a Claude task a result that is no error.
    Succeeded,
    /// It ran and failed.
    Failed,
    /// A Claude task ended without a result line.
    NoResult,
    /// The API refused the credentials, or there are none.
    Auth,
    /// The API refused because of a rate or usage limit.
    RateLimited,
    /// A deadline.
    TimedOut,
    /// Somebody ended it: the client, its disconnect, or the supervisor's stop.
    Canceled,
    /// It printed more than it may, where the policy is to kill.
    OutputLimit,
    /// It could not be started.
    SpawnFailed,
    /// Its worker died.
    WorkerDied,
    /// The machine ran out of something.
    ResourceLimit,
    /// A Claude task was denied the tools that it asked for, and none of them ran.
    Denied,
    /// A Claude task ended before its work was done: no turn was taken, an agent that it had begun was not
    /// waited for, the model refused, or its loop was broken off.
    Incomplete,
    /// The account cannot be used until a person acts: credits, billing, a hold, a verification.
    Account,
}

impl Verdict {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NoResult => "no_result",
            Self::Auth => "auth",
            Self::RateLimited => "rate_limited",
            Self::TimedOut => "timed_out",
            Self::Canceled => "canceled",
            Self::OutputLimit => "output_limit",
            Self::SpawnFailed => "spawn_failed",
            Self::WorkerDied => "worker_died",
            Self::ResourceLimit => "resource_limit",
            Self::Denied => "denied",
            Self::Incomplete => "incomplete",
            Self::Account => "account",
        }
    }
}

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

/// Stands at the end of a line that was cut at the line limit, in place of its rest and newline.
pub const TRUNCATION_MARK: &[u8] = b"[TRUNCATED]";
