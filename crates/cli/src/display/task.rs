//! A task as the reports name it, whether its file is known or only what the supervisor shows.

use cc_batch::plan::PlanTask;
use cc_protocol::{batch::BatchRow, execute::Program};

use super::{command_cell::command_cell, text};

/// Longest title of a task without a label.
const TITLE_CHARS_LIMIT: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    /// Place in the task file, from 1.
    pub(crate) number: usize,
    /// The label, else what it runs, cut to a line.
    pub(crate) title: String,
    pub(crate) name: Option<String>,
    pub(crate) label: Option<String>,
    /// `prompt`, `argv` or `command`.
    pub(crate) form: Option<&'static str>,
    /// As in the joblog.
    pub(crate) command: String,
    pub(crate) cwd: Option<String>,
}

impl Task {
    /// A task whose file is known.
    pub(crate) fn of_plan(task: &PlanTask, number: usize) -> Self {
        let execute = &task.execute;
        let (form, what) = match &execute.program {
            Program::Prompt(prompt) => ("prompt", prompt.prompt.clone()),
            Program::Command { command } => ("command", command.clone()),
            Program::Argv { argv } => ("argv", shell_words::join(argv)),
        };
        Self {
            number,
            title: text::one_line(execute.label.as_deref().unwrap_or(&what), TITLE_CHARS_LIMIT),
            name: task.name.clone(),
            label: execute.label.clone(),
            form: Some(form),
            command: command_cell(execute),
            cwd: execute.cwd.clone(),
        }
    }

    /// A task of a batch whose file is not known.
    pub(crate) fn of_row(row: &BatchRow) -> Self {
        let title = row.label.as_deref().unwrap_or(&row.title);
        Self {
            number: usize::try_from(row.index).unwrap_or(usize::MAX - 1) + 1,
            title: text::one_line(title, TITLE_CHARS_LIMIT),
            name: row.name.clone(),
            label: row.label.clone(),
            form: None,
            command: text::one_line(&row.title, usize::MAX),
            cwd: None,
        }
    }
}
