//! The state of a batch, as it is stored: a head, and a state a task.

use std::collections::BTreeSet;

use cc_events::Verdict;
use serde::{Deserialize, Serialize};

use crate::retry::Class;

/// The state of a batch. A store may keep the head and each task apart: [`super::Step::changed`]
/// says which tasks a step has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// What belongs to no task.
    pub head: Head,
    /// In the order of the plan.
    pub tasks: Vec<TaskState>,
}

/// What belongs to no task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// For the jitter of its waits.
    pub seed: u64,
    /// When it began, ms since the epoch.
    pub begun_ms: u64,
    /// How much further the wall clock has gone since then than time in which something could run.
    #[serde(default)]
    pub skipped_ms: i64,
    pub phase: Phase,
    /// Failures that count for a halt.
    pub failures: u32,
    /// What all attempts have cost, US dollars.
    pub cost_usd: f64,
    /// How many tasks in a row have ended alike without a turn; see [`crate::retry::AttemptEnd::sameness`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike: Option<Alike>,
    /// Models that there are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_models: Vec<LostModel>,
    /// Accounts whose credentials were good for a task of this batch, by [`crate::rules`]' numbers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub good_accounts: BTreeSet<u32>,
    /// Since when tasks cannot be started because a resource is missing, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_since_ms: Option<u64>,
}

/// Tasks that have ended alike, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    /// What they have in common.
    pub sameness: u64,
    pub tasks: u32,
    /// The last one, from 0.
    pub last: usize,
}

/// A model that the API does not know, or does not give to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostModel {
    /// As tasks name it; `None` is the one that they get without naming one.
    pub model: Option<String>,
    /// Of which account, by [`crate::rules`]' numbers.
    pub account: u32,
    /// Who was refused it first, from 0.
    pub task: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    Going,
    /// No further task begins; some are not over yet.
    Stopping {
        stop: Stop,
    },
    /// All tasks are over; the `after_batch` hook is not.
    AfterBatch {
        /// Why not every task had its turn; `None` where each had.
        stop: Option<Stop>,
        /// How far the hook is.
        run: Run,
    },
    Over {
        /// Why not every task had its turn; `None` where each had.
        stop: Option<Stop>,
        /// The `after_batch` hook failed. It changes no verdict.
        after_batch_failed: bool,
    },
}

/// Why no further task begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Failures, where the rule lets running tasks end: `halt = "soon,fail=N"`.
    HaltSoon,
    /// Failures, where the rule ends running tasks: `halt = "now,fail=N"`.
    HaltNow,
    /// A client canceled the batch.
    Canceled,
    /// The API refused the credentials.
    Auth,
    /// The account cannot be used until a person acts.
    Account,
    /// Tasks in a row ended alike without a turn.
    Alike,
    /// A resource that every task needs was missing for too long.
    Unavailable,
    /// A task was lost with its worker; what it has done a person must see.
    Lost,
    /// `max_cost_usd` is spent.
    MaxCost,
    /// `max_time_s` is over.
    MaxTime,
}

impl Stop {
    /// Running tasks are ended, not only none begun.
    #[must_use]
    pub fn ends_running(self) -> bool {
        match self {
            Self::HaltNow | Self::Canceled | Self::Auth | Self::Account | Self::MaxTime => true,
            Self::HaltSoon | Self::Alike | Self::Unavailable | Self::Lost | Self::MaxCost => false,
        }
    }
}

/// How far one process is that a batch wants run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "run", rename_all = "snake_case")]
pub enum Run {
    /// It waits for its admission. It has surely not begun.
    Queued,
    /// It was admitted under this id, so it may have begun.
    Running {
        /// The supervisor's id of it.
        task_id: String,
        /// It was told to end, for this reason.
        ending: Option<Ending>,
    },
}

/// Why a running task was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Stop,
    /// The CLI reported that its credentials were refused, and would go on trying.
    AuthRefused,
}

/// Where a task stands. The diagram is on top of [`crate::life`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// Its turn has not come.
    Waiting,
    /// Its `before_task` hook.
    Before {
        /// How far the hook is.
        run: Run,
    },
    Attempt {
        /// Which, and what came before.
        attempt: Attempt,
        run: Run,
    },
    /// Between two attempts.
    RetryAt {
        /// When the next one begins, ms since the epoch.
        at_ms: u64,
        number: u32,
        /// Waits for a limit so far, with this one if it is one.
        waits: u32,
        /// How the last one ended: the verdict, should no other follow.
        last: TaskOutcome,
    },
    /// It has its verdict; its `after_task` hook is not over.
    After {
        /// How far the hook is.
        run: Run,
        outcome: TaskOutcome,
    },
    /// It has its verdict.
    Over {
        outcome: TaskOutcome,
        /// Its `after_task` hook failed. It changes no verdict.
        after_task_failed: bool,
    },
    /// It will never begin.
    Skipped { skip: Skip },
}

/// Which attempt of a task it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Waits for a limit so far. They are no attempts.
    pub waits: u32,
    /// Of an attempt that is not the first start: how the one before ended.
    pub last: Option<TaskOutcome>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskOutcome {
    pub verdict: Verdict,
    pub cause: Cause,
    /// The supervisor's id of the last attempt, whose result is the task's; `None` where there was none.
    pub task_id: Option<String>,
    /// Attempts that were made.
    pub attempts: u32,
    /// Waits for a limit.
    pub waits: u32,
    /// There is a text that others may refer to.
    pub has_result: bool,
}

impl TaskOutcome {
    /// Whether it did what it was for.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.verdict == Verdict::Succeeded
    }
}

/// What decided a task's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    Attempt {
        /// And its class: `lost` says that it may have had effects.
        end: Class,
    },
    /// The `before_task` hook failed: the task itself never began.
    BeforeTaskFailed,
    /// It was ended because the batch stops; the head says why.
    Stopped,
}

/// Why a task will never begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "skip", rename_all = "snake_case")]
pub enum Skip {
    /// A task that it needs has not succeeded.
    NeededTaskFailed {
        /// Which, from 0.
        task: usize,
    },
    /// A task that it refers to has no result.
    NoResult {
        /// Which, from 0.
        task: usize,
    },
    /// The API has refused the model that it is for.
    ModelNotFound {
        /// To which task first, from 0.
        task: usize,
    },
    Stopped {
        stop: Stop,
    },
}

impl TaskState {
    /// It has its one verdict, or will never begin, and nothing of it is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Over { .. } | Self::Skipped { .. } => true,
            Self::Waiting
            | Self::Before { .. }
            | Self::Attempt { .. }
            | Self::RetryAt { .. }
            | Self::After { .. } => false,
        }
    }

    /// It occupies one of the batch's places.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        *self != Self::Waiting && !self.is_settled()
    }

    /// Its verdict, as soon as it has one.
    #[must_use]
    pub fn outcome(&self) -> Option<&TaskOutcome> {
        match self {
            Self::After { outcome, .. } | Self::Over { outcome, .. } => Some(outcome),
            Self::Waiting
            | Self::Before { .. }
            | Self::Attempt { .. }
            | Self::RetryAt { .. }
            | Self::Skipped { .. } => None,
        }
    }
}

/// How many tasks stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Their turn has not come.
    pub waiting: usize,
    /// Something of them is under way, or they wait for their next attempt.
    pub under_way: usize,
    /// With the verdict `succeeded`.
    pub succeeded: usize,
    /// With another verdict.
    pub failed: usize,
    /// Never begun.
    pub skipped: usize,
}

impl Batch {
    /// How many tasks stand where.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for task in &self.tasks {
            let count = match task {
                TaskState::Waiting => &mut counts.waiting,
                TaskState::Over { outcome, .. } if outcome.has_succeeded() => &mut counts.succeeded,
                TaskState::Over { .. } => &mut counts.failed,
                TaskState::Skipped { .. } => &mut counts.skipped,
                TaskState::Before { .. }
                | TaskState::Attempt { .. }
                | TaskState::RetryAt { .. }
                | TaskState::After { .. } => &mut counts.under_way,
            };
            *count += 1;
        }
        counts
    }

    /// It has reached its final state.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.head.phase, Phase::Over { .. })
    }
}
