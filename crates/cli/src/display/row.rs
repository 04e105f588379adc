//! A task of a batch as table and summary show it, whoever ran it.

use std::time::Duration;

use cc_protocol::{EndReason, OutputCounts};

use crate::{display::text, reports::Tokens};

/// What is not known, or has no meaning for its fate, is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Place in the task file, from 1.
    pub(crate) number: usize,
    pub(crate) title: String,
    /// The word for how it ended.
    pub(crate) verdict: &'static str,
    pub(crate) fate: Fate,
    /// What ended it.
    pub(crate) reason: Option<EndReason>,
    pub(crate) exit_code: Option<i32>,
    /// Of the task itself; of its last attempt.
    pub(crate) duration: Option<Duration>,
    pub(crate) output: Option<OutputCounts>,
    /// Processes that outlived the main one.
    pub(crate) killed_leftovers: Option<u64>,
    /// How often it was started.
    pub(crate) attempts: u64,
    /// What was tried again: attempts of a batch's task, requests of an agent's.
    pub(crate) retries: u64,
    pub(crate) cost_usd: f64,
    /// Attempts of agents whose cost nobody said.
    pub(crate) unknown_costs: u64,
    pub(crate) tokens: Tokens,
    /// From sending `execute` to hearing of the end, less the task's own time.
    pub(crate) overhead: Option<Duration>,
    /// What went wrong, for which the table has no room.
    pub(crate) remark: Option<String>,
    /// What a person should know beside the verdict.
    pub(crate) warnings: Vec<String>,
    /// The end of what it printed, of a task that did not succeed.
    pub(crate) last_words: Option<String>,
}

/// What became of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// What was wanted was done.
    Succeeded,
    /// It was not.
    Failed,
    /// Its end was not waited for, or not heard of.
    Unknown,
    /// It was not its turn.
    #[default]
    NotRun,
}

impl Row {
    /// Whether what was wanted was done.
    pub(crate) fn is_success(&self) -> bool {
        self.fate == Fate::Succeeded
    }

    /// `succeeded (2 warnings)`.
    pub(crate) fn verdict_with_warnings(&self) -> String {
        match self.warnings.len() {
            0 => self.verdict.to_owned(),
            count => format!("{} ({})", self.verdict, text::count(count, "warning")),
        }
    }
}
