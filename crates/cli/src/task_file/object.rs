//! One task as an object of named members, whatever notation it was written in.
//!
//! The wire contract's own reader judges the members, so that a file and a request never differ. It
//! stops at its first complaint; here what it complains of is taken out and it is asked again, so
//! that all that is wrong with a task is said at once. Called by `jsonl` and `toml`.

use std::collections::HashMap;

use cc_protocol::execute::{Execute, Program};
use serde_json::{Map, Value};

use super::PROMPT_BYTES_LIMIT;
use crate::text;

/// What the wire contract's reader says before every complaint.
const WIRE_PREFIX: &str = "Invalid params: ";
/// The three members of which a task has exactly one.
const FORMS: [&str; 3] = ["command", "argv", "prompt"];
/// Farthest misspelling of a name that is still recognised, in edits.
const NEAREST_EDITS_LIMIT: usize = 3;

/// The members of a task, and the byte offset of each one's name.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// Of the object itself.
    offset: usize,
    pub(super) params: Map<String, Value>,
    offsets: HashMap<String, usize>,
}

/// What is wrong, and the byte offset of what it is about.
pub(super) type Complaint = (usize, String);

/// What an object is, and with that what it may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A task.
    Task,
    /// A task of a file that could not be read whole: it may have more members than are seen.
    Remnant,
    /// What other tasks have that do not say otherwise.
    Defaults,
}

impl Object {
    pub(super) fn at(offset: usize) -> Self {
        Self { offset, ..Self::default() }
    }

    pub(super) fn insert(&mut self, name: String, offset: usize, value: Value) {
        self.offsets.insert(name.clone(), offset);
        self.params.insert(name, value);
    }

    /// The task, or all that is wrong with it; `unreadable` is what of it could not become a member.
    pub(super) fn read_with(
        self,
        role: Role,
        unreadable: Vec<Complaint>,
    ) -> Result<Execute, Vec<Complaint>> {
        if unreadable.is_empty() {
            return self.read(role);
        }
        let role = if role == Role::Task { Role::Remnant } else { role };
        let complaints = self.read(role).err().unwrap_or_default();
        Err(unreadable.into_iter().chain(complaints).collect())
    }

    fn read(mut self, role: Role) -> Result<Execute, Vec<Complaint>> {
        self.params.retain(|_, value| !value.is_null());
        let mut complaints = self.refuse_misplaced(role);
        let has_label = self.params.contains_key("label");
        // With nothing but `command` and `timeout` a request is of the old form, whose clients may
        // send what nobody knows. Nobody wrote a file for them, so a newer parameter is added.
        self.params.entry("label").or_insert_with(|| Value::String(String::new()));
        if role != Role::Task && !FORMS.iter().any(|form| self.params.contains_key(*form)) {
            self.stand_in_for("prompt");
        }
        let rounds_limit = self.params.len() + FORMS.len() + 1;
        for _ in 0..rounds_limit {
            let error = match Execute::from_params(self.params.clone()) {
                Ok(mut execute) => {
                    if !has_label {
                        execute.label = None;
                    }
                    complaints.extend(self.prompt_complaint(&execute));
                    return if complaints.is_empty() { Ok(execute) } else { Err(complaints) };
                }
                Err(error) => error,
            };
            let what = error.message.strip_prefix(WIRE_PREFIX).unwrap_or(&error.message);
            let field = error.data.get("field").and_then(Value::as_str).unwrap_or_default();
            complaints.push((self.offset_of(field), what.to_owned()));
            self.repair(field);
        }
        Err(complaints)
    }

    /// Names that the wire knows and a file must not have.
    fn refuse_misplaced(&mut self, role: Role) -> Vec<Complaint> {
        let mut refused = vec![
            ("id", "id is unknown; did you mean \"label\"?".to_owned()),
            ("detach", "detach is not for a batch, which follows each task to its end".to_owned()),
        ];
        if role == Role::Defaults {
            refused.extend(
                ["command", "argv", "prompt", "label"].map(|name| {
                    (name, format!("{name} cannot be a default: each task has its own"))
                }),
            );
        }
        let present: Vec<Complaint> = refused
            .iter()
            .filter(|(name, _)| self.params.contains_key(*name))
            .map(|(name, what)| (self.offset_of(name), what.clone()))
            .collect();
        for (name, _) in refused {
            self.params.remove(name);
        }
        present
    }

    /// Where a member is named; the object itself for one that is missing.
    pub(super) fn offset_of(&self, name: &str) -> usize {
        self.offsets.get(name).copied().unwrap_or(self.offset)
    }

    /// Takes away what was complained of, so that the rest can be judged.
    fn repair(&mut self, field: &str) {
        let forms = FORMS.iter().filter(|form| self.params.contains_key(**form)).count();
        match forms {
            0 => self.stand_in_for("prompt"),
            1 if FORMS.contains(&field) => self.stand_in_for(field),
            _ => drop(self.params.remove(field)),
        }
    }

    fn stand_in_for(&mut self, form: &str) {
        let value = if form == "argv" { Value::from(vec!["?"]) } else { Value::from("?") };
        self.params.insert(form.to_owned(), value);
    }

    fn prompt_complaint(&self, execute: &Execute) -> Option<Complaint> {
        match &execute.program {
            Program::Prompt(prompt) => too_long(&prompt.prompt),
            Program::Argv { .. } | Program::Command { .. } => None,
        }
        .map(|what| (self.offset_of("prompt"), what))
    }
}

/// The complaint about a prompt that is longer than any may be.
pub(super) fn too_long(prompt: &str) -> Option<String> {
    (prompt.len() > PROMPT_BYTES_LIMIT).then(|| {
        format!(
            "the prompt has {}; at most {} are allowed: put what is long into a file and name it in the prompt",
            text::bytes(prompt.len() as u64),
            text::bytes(PROMPT_BYTES_LIMIT as u64)
        )
    })
}

/// `NAME is unknown; did you mean …?`
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
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
