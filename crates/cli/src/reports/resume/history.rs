//! What the lines of a joblog say of the tasks of a file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::super::joblog::{self, HEADER, Line, LineError};
use crate::display::{command_cell, task::Task, text};

/// Longest beginning of a command that is shown of a task that the file does not have any more, columns.
const SHOWN_COMMAND_COLUMNS: usize = 60;

/// Why a joblog cannot be resumed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("is no joblog: its first line is another one")]
    OtherFile,
    #[error("line {number}: {error}")]
    Line { number: usize, error: LineMismatch },
}

/// What is wrong with one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineMismatch {
    #[error(transparent)]
    Unreadable(#[from] LineError),
    #[error(
        "task {seq} is not in the task file, which has {tasks}: this joblog is of another file"
    )]
    NoSuchNumber { seq: usize, tasks: usize },
    #[error("task {seq} is another one: the joblog has {logged:?}, the task file {planned:?}")]
    OtherCommand { seq: usize, logged: String, planned: String },
    #[error("task {seq} is not in the task file, neither to be done nor done: {command:?}")]
    NoSuchCommand { seq: usize, command: String },
}

/// Tasks that the task file marks as done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ticks {
    /// Numbers of those that were reopened because a joblog has their commands.
    pub(crate) among_tasks: HashSet<usize>,
    /// How many others there are.
    pub(crate) others: usize,
}

impl Ticks {
    pub(super) fn is_any(&self) -> bool {
        self.others > 0 || !self.among_tasks.is_empty()
    }
}

/// A task that succeeded in an earlier run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) duration: Duration,
}

/// What a joblog says about a batch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct History {
    /// For each task that ended, by number: whether it ever succeeded.
    pub(super) ended: BTreeMap<usize, bool>,
    pub(super) done: Vec<Done>,
    /// Length of the valid part of the file.
    pub(super) kept_bytes: u64,
    /// What must be written before the next line.
    pub(super) missing: &'static str,
    /// Its lines belong to tasks with other numbers.
    pub(super) is_by_command: bool,
}

/// The task of a line, by its number.
fn match_up<'a>(line: &Line, tasks: &BTreeMap<usize, &'a Task>) -> Result<&'a Task, LineMismatch> {
    let seq = line.seq;
    let Some(task) = tasks.get(&seq) else {
        return Err(LineMismatch::NoSuchNumber { seq, tasks: tasks.len() });
    };
    let planned = &task.command;
    if line.command == *planned || command_cell::key(&line.command) == command_cell::key(planned) {
        return Ok(task);
    }
    let [logged, planned] =
        [&line.command, planned].map(|text| text::one_line(text, SHOWN_COMMAND_COLUMNS));
    Err(LineMismatch::OtherCommand { seq, logged, planned })
}

impl History {
    /// Matches a joblog with its tasks by number.
    pub(super) fn read(bytes: &[u8], tasks: &[Task]) -> Result<Self, Mismatch> {
        let mut history = Self::default();
        let tasks: BTreeMap<usize, &Task> = tasks.iter().map(|task| (task.number, task)).collect();
        let mut found = Vec::new();
        history
            .lines(bytes, |line| match_up(&line, &tasks).map(|task| found.push((line, task))))?;
        for (line, task) in found {
            history.take(&line, task);
        }
        Ok(history)
    }

    /// Matches by command, for a file whose tasks were ticked meanwhile.
    pub(super) fn read_by_command(
        bytes: &[u8],
        tasks: &[Task],
        ticks: &Ticks,
    ) -> Result<Self, Mismatch> {
        let mut history = Self { is_by_command: true, ..Self::default() };
        let mut by_command: HashMap<String, Vec<&Task>> = HashMap::new();
        for task in tasks {
            by_command.entry(command_cell::key(&task.command)).or_default().push(task);
        }
        let (mut lines, mut unknown) = (HashMap::<String, Vec<Line>>::new(), Vec::new());
        history.lines(bytes, |line| {
            let key = command_cell::key(&line.command);
            let is_known = by_command.contains_key(&key);
            // What is done may have got other words when it was ticked.
            if !is_known && (!line.is_success || unknown.len() >= ticks.others) {
                let command = text::one_line(&line.command, SHOWN_COMMAND_COLUMNS);
                return Err(LineMismatch::NoSuchCommand { seq: line.seq, command });
            }
            match is_known {
                true => lines.entry(key).or_default().push(line),
                false => unknown.push(line),
            }
            Ok(())
        })?;
        for (key, lines) in lines {
            let tasks = by_command.get(&key).map_or(&[][..], Vec::as_slice);
            history.assign(&lines, tasks, ticks);
        }
        for line in unknown {
            let title = text::one_line(&line.command, SHOWN_COMMAND_COLUMNS);
            history.done.push(Done { number: line.seq, title, duration: line.duration() });
        }
        history.done.sort_by_key(|done| done.number);
        Ok(history)
    }

    /// The ends of a command belong to the tasks that run it, and first to those that are ticked.
    fn assign(&mut self, lines: &[Line], tasks: &[&Task], ticks: &Ticks) {
        let (successes, failures): (Vec<&Line>, Vec<&Line>) =
            lines.iter().partition(|line| line.is_success);
        let is_alone = tasks.len() == 1;
        // Of two that were equal, one may have been ticked and reworded: the last end is that of the other one.
        let is_one_number =
            lines.iter().all(|line| Some(line.seq) == lines.first().map(|it| it.seq));
        let counts = !is_alone || is_one_number || lines.last().is_some_and(|last| last.is_success);
        let mut successes = successes.into_iter().filter(|_| counts);
        let mut failures = failures.into_iter();
        let (ticked, open): (Vec<&Task>, Vec<&Task>) =
            tasks.iter().partition(|task| ticks.among_tasks.contains(&task.number));
        for task in ticked.into_iter().chain(open) {
            if let Some(line) = successes.next().or_else(|| failures.next()) {
                self.take(line, task);
            }
        }
    }

    /// Reads the complete lines of a joblog; `take` may refuse one.
    fn lines(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Line) -> Result<(), LineMismatch>,
    ) -> Result<(), Mismatch> {
        self.missing = HEADER;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line_bytes = line.len() as u64;
            // A line may be cut inside of a character.
            let line = String::from_utf8_lossy(line);
            let whole = line.strip_suffix('\n');
            if index == 0 {
                match whole {
                    Some(first) if first == HEADER.trim_end() => {}
                    None if HEADER.starts_with(&*line) => return Ok(()),
                    Some(_) | None => {
                        return Err(Mismatch::OtherFile);
                    }
                }
                self.kept_bytes = line_bytes;
                self.missing = "";
                continue;
            }
            match joblog::read(whole.unwrap_or(&line))
                .map_err(LineMismatch::from)
                .and_then(&mut take)
            {
                Ok(()) => self.missing = if whole.is_some() { "" } else { "\n" },
                // Only the last line can lack its end.
                Err(_) if whole.is_none() => return Ok(()),
                Err(error) => return Err(Mismatch::Line { number: index + 1, error }),
            }
            self.kept_bytes += line_bytes;
        }
        Ok(())
    }

    fn take(&mut self, line: &Line, task: &Task) {
        let has_succeeded = self.ended.entry(task.number).or_default();
        if line.is_success && !*has_succeeded {
            *has_succeeded = true;
            self.done.push(Done {
                number: task.number,
                title: task.title.clone(),
                duration: line.duration(),
            });
        }
    }
}
