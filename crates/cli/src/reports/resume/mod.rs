//! Resuming a batch: its joblog says what is left to do.
//!
//! A joblog is valid only for the file that it was written for: the first task that differs is named and nothing runs.
//! An exception are files in which agents tick boxes while they work: their tasks get other numbers, and a line belongs
//! to the task with its command. A last line without its newline was cut off when its `ccx` was killed: it counts if it
//! is complete, and is removed otherwise.
//!
//! `history` matches the lines with the tasks, `results` reads what earlier runs answered.

mod history;
pub(crate) mod results;

use std::{
    collections::HashSet,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use self::history::History;
pub(crate) use self::history::{Done, Ticks};
use super::{
    joblog,
    line_log::{self, LineLog},
};
use crate::{
    display::{command_cell, task::Task},
    error::CommandError,
};

/// Which tasks are to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that failed and those that did not run.
    NotSucceeded,
    /// Only those that ran and failed.
    Failed,
}

/// The commands of a joblog, by their keys ([`command_cell::key`]); empty where it cannot be read, which is an error when
/// it is resumed.
pub(crate) fn commands(path: &Path) -> HashSet<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().skip(1).filter_map(|line| joblog::read(line).ok());
    lines.map(|line| command_cell::key(&line.command)).collect()
}

/// The joblog of an earlier run of this batch.
#[derive(Debug)]
pub(crate) struct Past {
    path: PathBuf,
    file: File,
    history: History,
    ticks: Ticks,
}

impl Past {
    /// Reads the joblog and locks it until this is dropped.
    pub(crate) fn read(path: &Path, tasks: &[Task], ticks: Ticks) -> Result<Self, CommandError> {
        let refused = |what: &str| CommandError::usage(format!("{}: {what}", path.display()));
        if !path.exists() {
            return Err(refused("there is no such joblog; a first run writes it with --joblog"));
        }
        let mut file = line_log::open(path, false)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| refused(&format!("cannot be read: {error}")))?;
        let history = match History::read(&bytes, tasks) {
            Err(_) if ticks.is_any() => History::read_by_command(&bytes, tasks, &ticks),
            history => history,
        };
        let history = history.map_err(|mismatch| refused(&mismatch.to_string()))?;
        Ok(Self { path: path.to_owned(), file, history, ticks })
    }

    /// Whether the earlier runs had other numbers for the same tasks.
    pub(crate) fn is_by_command(&self) -> bool {
        self.history.is_by_command
    }

    /// Tasks that the file marks as done although they failed in an earlier run.
    pub(crate) fn ticked_failures<'a>(&self, left_out: &'a [Task]) -> Vec<&'a Task> {
        left_out.iter().filter(|task| self.ticks.among_tasks.contains(&task.number)).collect()
    }

    /// The tasks that will run, and the others that have not succeeded.
    pub(crate) fn select(&self, tasks: Vec<Task>, which: Which) -> (Vec<Task>, Vec<Task>) {
        let has_succeeded = |task: &Task| self.history.ended.get(&task.number) == Some(&true);
        let open = tasks.into_iter().filter(|task| !has_succeeded(task));
        open.partition(|task| match which {
            _ if self.ticks.among_tasks.contains(&task.number) => false,
            Which::NotSucceeded => true,
            Which::Failed => self.history.ended.contains_key(&task.number),
        })
    }

    /// How many tasks succeeded before.
    pub(crate) fn done(&self) -> usize {
        self.history.done.len()
    }

    /// The joblog, ready for the next line, and the tasks that succeeded in earlier runs.
    pub(super) fn go_on(self) -> Result<(LineLog, Vec<Done>), CommandError> {
        self.file.set_len(self.history.kept_bytes).map_err(|error| {
            CommandError::usage(format!("cannot write {}: {error}", self.path.display()))
        })?;
        let log = LineLog::of(&self.path, self.file).after(self.history.missing.as_bytes());
        Ok((log, self.history.done))
    }
}

#[cfg(test)]
mod tests;
