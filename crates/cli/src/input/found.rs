//! What was found in a task file: tasks as they stand there, and what is to be said of the rest.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    mistake::Mistake,
    note::{self, Names, Note},
    object::Object,
    options::FileOptions,
    place::Place,
};
use crate::display::command_cell;

/// Longest label that is made of a heading and a prompt.
pub(super) const LABEL_CHARS_LIMIT: usize = 100;

/// What a task file says, as far as it could be read. [`TaskFile::plan`] judges it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskFile(pub(super) Found);

impl TaskFile {
    /// The options of the file, which the command line may override.
    pub(crate) fn options(&self) -> &FileOptions {
        &self.0.options
    }

    /// The notes, a line for each kind. `is_quiet` omits notes that only repeat what the file says
    /// itself.
    pub(crate) fn notes(&self, names: &Names, is_quiet: bool) -> Vec<String> {
        let notes = self.0.notes.iter().filter(|note| !is_quiet || !note.is_expected());
        let mut notes: Vec<Note> = notes.cloned().collect();
        notes.sort_by_key(|note| note.place);
        note::lines(names, &notes)
    }

    /// The number of tasks that the file marks as done and that were not reopened.
    pub(crate) fn done(&self) -> usize {
        self.0.done.len()
    }

    /// Reopens tasks that the file marks as done, if an earlier run has their command: an agent ticks its box
    /// while it works, and other tasks refer to it. They do not run.
    pub(crate) fn reopen(&mut self, commands: &HashSet<String>) {
        let found = &mut self.0;
        let is_known = |task: &FileTask| {
            let command = task.object.as_ref().and_then(Object::command);
            command.is_some_and(|command| commands.contains(&command_cell::key(&command)))
        };
        let (known, others): (Vec<FileTask>, Vec<FileTask>) =
            std::mem::take(&mut found.done).into_iter().partition(is_known);
        found.done = others;
        found.tasks.extend(known);
        found.tasks.sort_by_key(|task| task.place);
    }
}

/// A task as its file has it: without any defaults.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileTask {
    pub(super) place: Place,
    /// `None` if nothing of it could be read.
    pub(super) object: Option<Object>,
    /// The file marks it as done.
    pub(super) is_done: bool,
}

/// What was found so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) tasks: Vec<FileTask>,
    /// The defaults of all tasks.
    pub(super) defaults: Option<Object>,
    pub(super) options: FileOptions,
    pub(super) mistakes: Vec<Mistake>,
    /// Tasks that the file marks as done. Their mistakes are ignored.
    pub(super) done: Vec<FileTask>,
    pub(super) notes: Vec<Note>,
    /// What is wrong where there is no task, and where that is reported, unless it is the beginning.
    pub(super) if_none: &'static str,
    pub(super) place_if_none: Option<Place>,
    /// Something stands in the file that may be meant as tasks, and is none.
    pub(super) lacks_tasks: bool,
    /// Lines whose content is unreliable.
    pub(super) doubtful_lines: Vec<usize>,
}

impl Found {
    pub(super) fn prompt(&mut self, place: Place, prompt: String, label: Option<String>) {
        let mut object = Object::default();
        object.insert("prompt".to_owned(), place, Value::String(prompt));
        if let Some(label) = label {
            object.insert("label".to_owned(), place, Value::String(label));
        }
        self.tasks.push(FileTask { place, object: Some(object), is_done: false });
    }

    pub(super) fn done_prompt(&mut self, place: Place, prompt: String) {
        let mut object = Object::default();
        object.insert("prompt".to_owned(), place, Value::String(prompt));
        self.done.push(FileTask { place, object: Some(object), is_done: true });
    }

    pub(super) fn set_options(&mut self, options: Object) {
        self.options = FileOptions::of(options, &mut self.mistakes);
    }

    pub(super) fn mistake(&mut self, place: Place, what: impl Into<String>) {
        self.mistakes.push(Mistake { place, what: what.into() });
    }
}

/// A file that was read, with the names for its places.
#[derive(Debug)]
pub(crate) struct NamedFile {
    pub(crate) names: Names,
    pub(crate) file: TaskFile,
}
