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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub token_hash: TokenHash,
    pub begun_ms: u64,
    /// When it lost its connection; `None` while it has one, or its supervisor died while it had one.
    pub disconnected_ms: Option<u64>,
    /// When it was closed; `None` while it can be resumed.
    pub closed_ms: Option<u64>,
    /// The name of the token with which it was begun.
    pub token: Option<String>,
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
    /// The name of the token with which it was started.
    pub token: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// What was known at first.
    pub accepted: TaskAccepted,
    /// `None` until it runs.
    pub started: Option<StartRow>,
    /// `None` until its terminal event.
    pub ended: Option<EndRow>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRow {
    pub at_ms: u64,
    pub pid: i32,
    pub worker_pid: i32,
    pub containment: Word<Containment>,
}

/// A task's end: [`Completed`] with words that may be unknown, and what belongs to its log.
#[derive(Clone, Debug, PartialEq)]
pub struct EndRow {
    pub at_ms: u64,
    pub reason: Word<EndReason>,
    pub verdict: Word<Verdict>,
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub error: Option<String>,
    pub duration_ms: u64,
    pub cpu_ms: u64,
    pub max_rss_bytes: u64,
    pub output: OutputCounts,
    pub killed_leftovers: u64,
    pub unkillable: u64,
    /// The seq of the terminal event.
    pub last_seq: u64,
    pub log_bytes: u64,
    /// Without those that only a newer program knows.
    pub warnings: Vec<Warning>,
    pub claude: Option<Box<ClaudeFacts>>,
    /// `None` for a task that is no Claude task or had no result line.
    pub result: Option<ResultSummary>,
}

/// What a Claude task's result says, but for its text.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultSummary {
    pub is_error: bool,
    pub cost_usd: Option<f64>,
    pub turns: Option<u64>,
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
            token: row.get("token")?,
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
            token: row.get("token")?,
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

/// Text that is no JSON of this type is read as `None`: nothing that a task's end depends on is stored this way.
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
