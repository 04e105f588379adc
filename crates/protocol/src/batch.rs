//! `batch.*`: lists of tasks that run by themselves, and how far they are.
//!
//! A batch belongs to no session: it outlives its client and its supervisor. What `batch.submit` takes, the
//! plan, is the crate `cc-batch`'s to read, since all its mistakes are told at once. The tasks of a batch are
//! ordinary tasks, which `task.*` shows and steers.

use cc_events::{ClaudeResultPart, EndReason, Verdict, Warning};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::ErrorObject,
    params::{Params, invalid},
    task::{LIST_DEFAULT, LIST_LIMIT, limit},
};

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
/// Most tasks in [`BatchSummary::running`].
pub const RUNNING_LIMIT: usize = 100;

/// Where a batch is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Something of it is under way, or may be at any moment.
    Running,
    /// Nothing of it runs, because it waits for a limit to end.
    WaitingLimit,
    /// Every task has its verdict or was skipped.
    Over,
}

impl BatchState {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::WaitingLimit => "waiting_limit",
            Self::Over => "over",
        }
    }
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchOutcome {
    /// Every task had its turn and succeeded, but for those that may fail.
    Succeeded,
    /// Every task had its turn or was skipped for want of another one, and not all succeeded.
    Failed,
    /// Somebody asked for its end.
    Canceled,
    /// As many tasks failed as `halt` allows.
    Halted,
    /// It stopped itself: refused credentials, a task that was lost, its cost or its time.
    Stopped,
}

impl BatchOutcome {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Halted => "halted",
            Self::Stopped => "stopped",
        }
    }
}

/// How many tasks stand where. All but `tasks` add up to `tasks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCounts {
    /// All.
    pub tasks: u64,
    /// Their turn has not come, or they wait at the gate of their credentials.
    pub waiting: u64,
    /// Something of them is under way, be it a hook.
    pub running: u64,
    /// Between two attempts.
    pub retrying: u64,
    /// With the verdict `succeeded`.
    pub succeeded: u64,
    /// With another verdict.
    pub failed: u64,
    /// Never begun.
    pub skipped: u64,
}

/// A limit that a batch waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchWait {
    /// When it goes on, milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// What it waits for, for people.
    pub reason: String,
}

/// A task of a batch that runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRunning {
    /// From 0.
    pub index: u64,
    /// By which other tasks refer to it.
    pub name: Option<String>,
    /// The name for people that the plan gave it.
    pub label: Option<String>,
    /// For `task.*`.
    pub task_id: String,
    /// From 1.
    pub attempt: u32,
    /// When the attempt began, milliseconds since the Unix epoch.
    pub started_ms: u64,
}

/// A batch as `batch.get`, `batch.list` and `batch.attach` show it. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchSummary {
    /// uuid v7.
    pub batch_id: String,
    /// The name that the plan gave it.
    pub name: Option<String>,
    /// Where it is in its life.
    pub state: BatchState,
    /// How it ended; null until then.
    pub outcome: Option<BatchOutcome>,
    /// Why it stops, or stopped, before every task had its turn: the first line of a report.
    pub reason: Option<String>,
    /// How many tasks stand where.
    pub counts: BatchCounts,
    /// Tasks that are under way at once at most.
    pub jobs: u32,
    /// What all attempts have cost by the CLI's own reckoning, US dollars.
    pub cost_usd: f64,
    /// Of all attempts, as far as their results say so; with those that were read from a cache.
    pub input_tokens: u64,
    /// See `input_tokens`.
    pub output_tokens: u64,
    /// Of `input_tokens`, those that were read from a cache.
    #[serde(default)]
    pub cache_read_tokens: u64,
    /// Of `input_tokens`, those that were put into a cache.
    #[serde(default)]
    pub cache_creation_tokens: u64,
    /// Attempts of agents whose cost nobody said: `cost_usd` is a lower bound where there are any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_costs: u64,
    /// Tasks whose last attempt ended with warnings, whatever its verdict.
    #[serde(default)]
    pub warnings: u64,
    /// Attempts after a first one, and starts after a wait for a limit.
    pub retries: u64,
    /// Processes that outlived their task's main one and were killed, in all attempts.
    pub killed_leftovers: u64,
    /// When it was submitted.
    pub submitted_ms: u64,
    /// When its first task began.
    pub started_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// The limit that some task of it waits for.
    pub waits: Option<BatchWait>,
    /// What runs now, in the plan's order; at most [`RUNNING_LIMIT`].
    pub running: Vec<BatchRunning>,
}

/// Where a task of a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Its turn has not come, or it waits at the gate of its credentials: for a limit, or for tasks of other batches.
    Waiting,
    /// Something of it is under way, be it a hook.
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
    /// It could not be started for want of something that comes back. Such a wait counts as no attempt.
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
    /// Bytes that it has printed; null until its end is told.
    pub output_bytes: Option<u64>,
    /// What may follow; null while it runs, and where it has succeeded.
    pub class: Option<AttemptClass>,
    /// When the next one begins, where one follows.
    pub wait_until_ms: Option<u64>,
    /// Its last words on standard output: whole lines, no control characters but newlines and tabs. Of a Claude
    /// stream the lines that are none of it, and the end of the answer. At most [`TAIL_BYTES_LIMIT`], of earlier
    /// attempts [`EARLIER_TAIL_BYTES_LIMIT`]; none where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_tail: Option<String>,
    /// The same on standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
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
    /// What all its attempts have cost, US dollars; null where nobody said.
    pub cost_usd: Option<f64>,
    /// Those of its attempts whose cost nobody said: `cost_usd` is a lower bound where there are any.
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

/// An amount of money for people, the same wherever one is shown: `1.20 USD`, `0.0123 USD`. At least cents, which
/// would hide what a short task costs, and at most hundredths of them; programs get the number as it is.
#[must_use]
pub fn usd(amount: f64) -> String {
    const LEAST_SHOWN: f64 = 0.000_05;
    if amount > 0.0 && amount < LEAST_SHOWN {
        return "<0.0001 USD".to_owned();
    }
    let text = format!("{amount:.4}");
    let cents = text.len().saturating_sub(2);
    let (whole, hundredths) = text.split_at(cents);
    format!("{whole}{} USD", hundredths.trim_end_matches('0'))
}

/// A sum of money for people, of which so many parts are not known: `at least 1.20 USD`, or `unknown`.
#[must_use]
pub fn usd_at_least(amount: f64, unknown_costs: u64) -> String {
    match unknown_costs {
        0 => usd(amount),
        _ if amount > 0.0 => format!("at least {}", usd(amount)),
        _ => "unknown".to_owned(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The result of `batch.submit` and `batch.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSubmitted {
    /// uuid v7.
    pub batch_id: String,
    /// False: this plan was submitted before under the same `idempotency_key`.
    pub is_new: bool,
    /// So many.
    pub tasks: u64,
}

/// The parameters of `batch.get`, `batch.cancel`, `batch.attach` and `batch.detach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchNamed {
    /// Which one.
    pub batch_id: String,
}

impl BatchNamed {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id"])?;
        Ok(Self { batch_id: params.required_text("batch_id")? })
    }
}

/// Which batches `batch.list` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchFilter {
    /// All that are known.
    #[default]
    All,
    /// Those that are not over.
    Running,
    /// Those that are over.
    Over,
}

/// The parameters of `batch.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchList {
    /// Which batches.
    #[serde(default)]
    pub state: BatchFilter,
    /// At most this many, the newest first.
    pub limit: u64,
    /// Only batches that were submitted before this one: the last one of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl Default for BatchList {
    fn default() -> Self {
        Self { state: BatchFilter::All, limit: LIST_DEFAULT, before: None }
    }
}

impl BatchList {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["state", "limit", "before"])?;
        let state = match params.text("state")?.as_deref() {
            None | Some("all") => BatchFilter::All,
            Some("running") => BatchFilter::Running,
            Some("over") => BatchFilter::Over,
            Some(_) => return Err(invalid("state", "must be \"all\", \"running\" or \"over\"")),
        };
        let limit = limit(&mut params, LIST_LIMIT)?.unwrap_or(LIST_DEFAULT);
        Ok(Self { state, limit, before: params.text("before")? })
    }
}

/// The result of `batch.list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchListResult {
    /// The newest first.
    pub batches: Vec<BatchSummary>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// The parameters of `batch.rows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRows {
    /// Which one.
    pub batch_id: String,
    /// Only tasks after this one, from 0: the last one of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_index: Option<u64>,
    /// At most this many.
    pub limit: u64,
}

impl BatchRows {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id", "after_index", "limit"])?;
        Ok(Self {
            batch_id: params.required_text("batch_id")?,
            after_index: params.count("after_index")?,
            limit: limit(&mut params, ROWS_LIMIT)?.unwrap_or(ROWS_LIMIT),
        })
    }
}

/// The result of `batch.rows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchRowsResult {
    /// In the plan's order.
    pub rows: Vec<BatchRow>,
    /// Whether there are more.
    pub has_more: bool,
}

/// The parameters of `batch.result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTask {
    /// Of which batch.
    pub batch_id: String,
    /// Which task of it, from 0.
    pub index: u64,
}

impl BatchTask {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id", "index"])?;
        let batch_id = params.required_text("batch_id")?;
        let index = params.count("index")?.ok_or_else(|| invalid("index", "is missing"))?;
        Ok(Self { batch_id, index })
    }
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

/// Which tasks `batch.resume` runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeOnly {
    /// Those that have not succeeded, be it that they were skipped.
    #[default]
    Unsuccessful,
    /// Those that have another verdict than `succeeded`, and no skipped ones.
    Failed,
}

/// The parameters of `batch.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResume {
    /// A batch that is over.
    pub batch_id: String,
    /// Which of its tasks.
    #[serde(default)]
    pub only: ResumeOnly,
}

impl BatchResume {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id", "only"])?;
        let only = match params.text("only")?.as_deref() {
            None | Some("unsuccessful") => ResumeOnly::Unsuccessful,
            Some("failed") => ResumeOnly::Failed,
            Some(_) => return Err(invalid("only", "must be \"unsuccessful\" or \"failed\"")),
        };
        Ok(Self { batch_id: params.required_text("batch_id")?, only })
    }
}

/// `batch.progress`: what has changed since the one before. A client that reads slowly gets fewer, never older ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchProgress {
    /// As it is now.
    pub batch: BatchSummary,
    /// Tasks that have changed, as they are now, in the plan's order; as many as fit.
    pub rows: Vec<BatchRow>,
}

/// `batch.completed`: the last word about a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchCompleted {
    /// As it is for good.
    pub batch: BatchSummary,
    /// All tasks, in the plan's order; as many as fit.
    pub rows: Vec<BatchRow>,
    /// Not all fit: `batch.rows` has the others.
    pub rows_omitted: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(params: Value) -> Map<String, Value> {
        let Value::Object(params) = params else { panic!("no object") };
        params
    }

    #[test]
    fn a_misspelt_position_or_choice_is_named_and_never_taken_for_the_default() {
        let list = |params| BatchList::from_params(&map(params)).unwrap_err();
        let rows = |params| BatchRows::from_params(&map(params)).unwrap_err();
        let resume = |params| BatchResume::from_params(&map(params)).unwrap_err();
        let result = |params| BatchTask::from_params(&map(params)).unwrap_err();
        for (error, field) in [
            (list(json!({"state": "ended"})), "state"),
            (list(json!({"limit": 0})), "limit"),
            (rows(json!({"batch_id": "b", "after": 3})), "after"),
            (rows(json!({"after_index": 3})), "batch_id"),
            (resume(json!({"batch_id": "b", "only": "all"})), "only"),
            (result(json!({"batch_id": "b"})), "index"),
            (result(json!({"batch_id": "b", "index": -1})), "index"),
            (result(json!({"batch_id": "b", "index": 0, "attempt": 1})), "attempt"),
        ] {
            assert_eq!(error.data["field"], field, "{}", error.message);
        }
        let first = BatchRows::from_params(&map(json!({"batch_id": "b"}))).unwrap();
        assert_eq!((first.after_index, first.limit), (None, ROWS_LIMIT));
    }

    #[test]
    fn money_has_cents_and_the_hundredths_of_them_that_are_there() {
        for (amount, expected) in [
            (0.0, "0.00 USD"),
            (0.01, "0.01 USD"),
            (0.015, "0.015 USD"),
            (0.0123, "0.0123 USD"),
            (0.1 + 0.2, "0.30 USD"),
            (12.345, "12.345 USD"),
            (1_000.0, "1000.00 USD"),
            (0.000_01, "<0.0001 USD"),
        ] {
            assert_eq!(usd(amount), expected);
        }
    }
}
