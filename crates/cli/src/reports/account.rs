//! What the reports that are replaced as a whole say of a batch.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{entry::Entry, resume::Done};
use crate::display::totals::Totals;

/// A batch as its whole-file reports show it.
#[derive(Debug)]
pub(super) struct Account {
    /// Of the task file.
    pub(super) name: String,
    pub(super) begun_at: SystemTime,
    /// Number and title of each task of this run, in order.
    pub(super) planned: Vec<(usize, String)>,
    /// The same of those that are left for another run.
    pub(super) left_out: Vec<(usize, String)>,
    /// What succeeded in earlier runs.
    pub(super) done: Vec<Done>,
    /// One a task that ended; its answer cut to an excerpt.
    pub(super) entries: Vec<Entry>,
    pub(super) totals: Totals,
    pub(super) joblog: Option<PathBuf>,
    /// Of a supervisor that others reach, too: for a resume.
    pub(super) batch_id: Option<String>,
    /// Why tasks do not run, by their numbers.
    pub(super) why_not: BTreeMap<usize, String>,
    /// `None` while the batch runs.
    pub(super) end: Option<AccountEnd>,
}

/// How the batch came to its end.
#[derive(Clone, Debug)]
pub(crate) struct AccountEnd {
    /// From the first task to the last end.
    pub(crate) elapsed: Duration,
    /// Why it did not come to its last task.
    pub(crate) stopped: Option<String>,
    /// How many processes were left behind, where that can be seen.
    pub(crate) left_behind: Option<usize>,
}

impl Account {
    /// Tasks that have not ended, and those that are left out.
    pub(super) fn open_tasks(&self) -> impl Iterator<Item = &(usize, String)> {
        let ended: HashSet<usize> = self.entries.iter().map(|entry| entry.number).collect();
        let open = self.planned.iter().filter(move |(number, _)| !ended.contains(number));
        open.chain(&self.left_out)
    }

    /// The command that resumes the batch, if one can.
    pub(super) fn resume_command(&self) -> Option<String> {
        if let Some(batch_id) = &self.batch_id {
            return Some(format!("ccx batch --resume {batch_id}"));
        }
        let joblog = self.joblog.as_ref()?.display().to_string();
        let (name, joblog) = (shell_words::quote(&self.name), shell_words::quote(&joblog));
        Some(format!("ccx batch {name} --resume {joblog}"))
    }

    /// All of the task file.
    pub(super) fn tasks(&self) -> usize {
        self.planned.len() + self.left_out.len() + self.done.len()
    }

    /// What succeeded, and yet a person should look at.
    pub(super) fn warned(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_success && !entry.warnings.is_empty())
    }

    pub(super) fn succeeded(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_success).count()
    }
}
