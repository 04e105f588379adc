//! What is known of a session and of a task. Times are milliseconds since the Unix epoch.

use std::path::PathBuf;

use cc_events::{
    ClaudeFacts, ClaudeResult, Completed, Containment, EndReason, OutputCounts, Verdict, Warning,
};
use cc_link::spec::Deadlines;
use rusqlite::{Result, Row};

use crate::{
    Word,
    convert::{ReadPath, Unsigned},
};

/// SHA-256 of a resume token. Compare it in constant time.
pub type TokenHash = [u8; 32];

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// A uuid.
    pub id: String,
    /// Of its resume token.
    pub token_hash: TokenHash,
    /// When it began.
    pub begun_ms: u64,
    /// When it lost its connection; `None` while it has one, or its supervisor died while it had one.
    pub disconnected_ms: Option<u64>,
    /// When it was closed; `None` while it can be resumed.
    pub closed_ms: Option<u64>,
}

/// What is known of a task before its worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskAccepted {
    /// A uuid; also the name of its directory.
    pub id: String,
    /// The session that it belongs to; `None` for a detached one.
    pub session_id: Option<String>,
    /// The name that its request gave it.
    pub label: Option<String>,
    /// The beginning of what it runs. Stored as it is given: the caller shortens it.
    pub command: String,
    /// When it was accepted.
    pub accepted_ms: u64,
    /// Whether its output is read as a Claude stream.
    pub is_claude: bool,
    /// Whether it was given as a prompt.
    pub is_prompt: bool,
    /// Its cgroup, if it is to have one.
    pub leaf: Option<PathBuf>,
    /// Its clocks. `None` also when a newer program wrote some that this one cannot read.
    pub deadlines: Option<Deadlines>,
    /// The batch that it is an attempt, or a hook, of.
    pub batch_id: Option<String>,
    /// What it has in common with prompts of the same kind.
    pub shape: Option<String>,
}

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// What was known at first.
    pub accepted: TaskAccepted,
    /// `None` until it runs.
    pub started: Option<StartRow>,
    /// `None` until its terminal event.
    pub ended: Option<EndRow>,
}

/// A task's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRow {
    /// When.
    pub at_ms: u64,
    /// Main process.
    pub pid: i32,
    /// The worker.
    pub worker_pid: i32,
    /// What holds the tree together.
    pub containment: Word<Containment>,
}

/// A task's end: [`Completed`] with words that may be unknown, and what belongs to its log.
#[derive(Clone, Debug, PartialEq)]
pub struct EndRow {
    /// When.
    pub at_ms: u64,
    /// See [`Completed::reason`].
    pub reason: Word<EndReason>,
    /// See [`Completed::verdict`].
    pub verdict: Word<Verdict>,
    /// See [`Completed::exit_code`].
    pub exit_code: i32,
    /// See [`Completed::signal`].
    pub signal: Option<i32>,
    /// See [`Completed::error`].
    pub error: Option<String>,
    /// See [`Completed::duration_ms`].
    pub duration_ms: u64,
    /// See [`Completed::cpu_ms`].
    pub cpu_ms: u64,
    /// See [`Completed::max_rss_bytes`].
    pub max_rss_bytes: u64,
    /// See [`Completed::output`].
    pub output: OutputCounts,
    /// See [`Completed::killed_leftovers`].
    pub killed_leftovers: u64,
    /// See [`Completed::unkillable`].
    pub unkillable: u64,
    /// The terminal event's number.
    pub last_seq: u64,
    /// Size of the task log.
    pub log_bytes: u64,
    /// See [`Completed::warnings`]; without those that only a newer program knows.
    pub warnings: Vec<Warning>,
    /// See [`Completed::claude`].
    pub claude: Option<Box<ClaudeFacts>>,
    /// Of a Claude task that came so far.
    pub result: Option<ResultSummary>,
}

/// What a Claude task's result says, but for its text.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultSummary {
    /// See [`ClaudeResult::is_error`].
    pub is_error: bool,
    /// See [`ClaudeResult::total_cost_usd`].
    pub cost_usd: Option<f64>,
    /// See [`ClaudeResult::num_turns`].
    pub turns: Option<u64>,
    /// See [`ClaudeResult::claude_session_id`].
    pub claude_session_id: Option<String>,
}

impl From<&ClaudeResult> for ResultSummary {
    fn from(result: &ClaudeResult) -> Self {
        Self {
            is_error: result.is_error,
            cost_usd: result.total_cost_usd,
            turns: result.num_turns,
            claude_session_id: result.claude_session_id.clone(),
        }
    }
}

impl TaskRow {
    /// The terminal event as it was; `None` before it, and where a newer program wrote a word that
    /// this one does not know.
    #[must_use]
    pub fn completed(&self) -> Option<Completed> {
        let ended = self.ended.as_ref()?;
        Some(Completed {
            pid: self.started.as_ref().map_or(0, |started| started.pid),
            reason: ended.reason.known()?,
            verdict: ended.verdict.known()?,
            exit_code: ended.exit_code,
            signal: ended.signal,
            error: ended.error.clone(),
            duration_ms: ended.duration_ms,
            cpu_ms: ended.cpu_ms,
            max_rss_bytes: ended.max_rss_bytes,
            output: ended.output,
            killed_leftovers: ended.killed_leftovers,
            unkillable: ended.unkillable,
            warnings: ended.warnings.clone(),
            claude: ended.claude.clone(),
            spawn_failure: None,
        })
    }
}

impl SessionRow {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            token_hash: row.get("token_hash")?,
            begun_ms: unsigned(row, "begun_ms")?,
            disconnected_ms: optional(row, "disconnected_ms")?,
            closed_ms: optional(row, "closed_ms")?,
        })
    }
}

impl TaskRow {
    /// From `task`, joined with `result`.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            accepted: TaskAccepted::read(row)?,
            started: StartRow::read(row)?,
            ended: EndRow::read(row)?,
        })
    }
}

impl TaskAccepted {
    fn read(row: &Row<'_>) -> Result<Self> {
        let leaf: Option<ReadPath> = row.get("leaf")?;
        let deadlines: Option<String> = row.get("deadlines")?;
        Ok(Self {
            id: row.get("id")?,
            session_id: row.get("session_id")?,
            label: row.get("label")?,
            command: row.get("command")?,
            accepted_ms: unsigned(row, "accepted_ms")?,
            is_claude: row.get("is_claude")?,
            is_prompt: row.get("is_prompt")?,
            leaf: leaf.map(|leaf| leaf.0),
            deadlines: deadlines.and_then(|json| serde_json::from_str(&json).ok()),
            batch_id: row.get("batch_id")?,
            shape: row.get("shape")?,
        })
    }
}

impl StartRow {
    fn read(row: &Row<'_>) -> Result<Option<Self>> {
        let Some(at_ms) = optional(row, "started_ms")? else { return Ok(None) };
        Ok(Some(Self {
            at_ms,
            pid: row.get("pid")?,
            worker_pid: row.get("worker_pid")?,
            containment: row.get("containment")?,
        }))
    }
}

impl EndRow {
    fn read(row: &Row<'_>) -> Result<Option<Self>> {
        let Some(at_ms) = optional(row, "ended_ms")? else { return Ok(None) };
        Ok(Some(Self {
            at_ms,
            reason: row.get("reason")?,
            verdict: row.get("verdict")?,
            exit_code: row.get("exit_code")?,
            signal: row.get("signal")?,
            error: row.get("error")?,
            duration_ms: unsigned(row, "duration_ms")?,
            cpu_ms: unsigned(row, "cpu_ms")?,
            max_rss_bytes: unsigned(row, "max_rss_bytes")?,
            output: OutputCounts {
                lines: unsigned(row, "output_lines")?,
                bytes: unsigned(row, "output_bytes")?,
                dropped_lines: unsigned(row, "dropped_lines")?,
                dropped_bytes: unsigned(row, "dropped_bytes")?,
                truncated_lines: unsigned(row, "truncated_lines")?,
            },
            killed_leftovers: unsigned(row, "killed_leftovers")?,
            unkillable: unsigned(row, "unkillable")?,
            last_seq: unsigned(row, "last_seq")?,
            log_bytes: unsigned(row, "log_bytes")?,
            warnings: warnings(row)?,
            claude: json(row, "claude")?,
            result: ResultSummary::read(row)?,
        }))
    }
}

impl ResultSummary {
    fn read(row: &Row<'_>) -> Result<Option<Self>> {
        let Some(is_error) = row.get("is_error")? else { return Ok(None) };
        Ok(Some(Self {
            is_error,
            cost_usd: row.get("cost_usd")?,
            turns: optional(row, "turns")?,
            claude_session_id: row.get("claude_session_id")?,
        }))
    }
}

fn warnings(row: &Row<'_>) -> Result<Vec<Warning>> {
    let list: Vec<serde_json::Value> = json(row, "warnings")?.unwrap_or_default();
    Ok(list.into_iter().filter_map(|warning| serde_json::from_value(warning).ok()).collect())
}

/// What is no JSON of this type is as good as nothing: it says nothing that a task's end depends on.
fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

fn unsigned(row: &Row<'_>, column: &str) -> Result<u64> {
    row.get(column).map(|Unsigned(value)| value)
}

fn optional(row: &Row<'_>, column: &str) -> Result<Option<u64>> {
    let value: Option<Unsigned> = row.get(column)?;
    Ok(value.map(|Unsigned(value)| value))
}
