//! The members of a task, or of the defaults of all tasks, each with its place in the file. `judge` says what they mean.

use std::collections::HashMap;

use cc_protocol::execute::{Execute, Program, Prompt};
use serde_json::{Map, Value};

use super::place::Place;
use crate::display::command_cell::command_cell;

/// Members, and the places of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    pub(super) members: Map<String, Value>,
    pub(super) places: HashMap<String, Place>,
    /// A member is missing because it could not be read.
    pub(super) is_remnant: bool,
}

impl Object {
    pub(super) fn insert(&mut self, name: String, place: Place, value: Value) {
        self.places.insert(name.clone(), place);
        self.members.insert(name, value);
    }

    /// What it runs, as a joblog has it.
    pub(super) fn command(&self) -> Option<String> {
        let text = |name: &str| self.members.get(name).and_then(Value::as_str).map(str::to_owned);
        let program = if let Some(prompt) = text("prompt") {
            Program::Prompt(Box::new(Prompt { prompt, ..Prompt::default() }))
        } else if let Some(command) = text("command") {
            Program::Command { command }
        } else {
            let argv = self.members.get("argv")?.clone();
            Program::Argv { argv: serde_json::from_value(argv).ok()? }
        };
        Some(command_cell(&Execute { program, ..Execute::default() }))
    }

    /// Where a member is named; for `argv[2]` and `env.PATH` where `argv` and `env` are.
    pub(super) fn place_of(&self, field: &str) -> Option<Place> {
        let root = field.split(['.', '[']).next().unwrap_or(field);
        self.places.get(root).copied()
    }
}

/// `NAME is unknown; did you mean …?`
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    /// Farthest misspelling of a name that is still recognised, in edits.
    const NEAREST_EDITS_LIMIT: usize = 3;
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(edits, _)| *edits <= NEAREST_EDITS_LIMIT);
    match nearest {
        Some((_, known)) => format!("{name} is unknown; did you mean {known:?}?"),
        None => format!("{name} is unknown; known are {}", known.join(", ")),
    }
}
