//! A batch as a whole, as `batch.get`, `batch.list` and `batch.attach` show it.

use serde::{Deserialize, Serialize};

use crate::task::is_zero;

/// Most tasks in [`BatchSummary::running`].
pub const RUNNING_LIMIT: usize = 100;

/// Where a batch is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// A task of it runs, or may begin at any moment.
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
    /// Every task ran and succeeded, except for those that may fail.
    Succeeded,
    /// Every task ran, or was skipped because one that it needs failed, and not all succeeded.
    Failed,
    /// A client canceled it.
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

/// How many tasks are in which state. All others add up to `tasks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCounts {
    /// Tasks of the batch.
    pub tasks: u64,
    /// Their turn has not come, or they wait at the gate of their credentials.
    pub waiting: u64,
    /// The task or one of its hooks runs.
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
    /// When the batch continues, milliseconds since the Unix epoch.
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
    /// Attempts of agents whose cost is not known: where there are any, `cost_usd` is a lower bound.
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

/// The result of `batch.submit` and `batch.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSubmitted {
    /// uuid v7.
    pub batch_id: String,
    /// False: this plan was submitted before under the same `idempotency_key`.
    pub is_new: bool,
    /// How many tasks the batch has.
    pub tasks: u64,
}

/// The result of `batch.list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchListResult {
    /// The newest first.
    pub batches: Vec<BatchSummary>,
    /// Whether there are older ones.
    pub has_more: bool,
}
