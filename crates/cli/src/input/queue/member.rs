//! The members of one task, taken out and put in the words of a plan.

use cc_batch::{limits::NAME_CHARS_LIMIT, plan, plan::OWN_MEMBERS};
use cc_protocol::execute::{COMMON_PARAMS, PROMPT_PARAMS};
use serde_json::Value;

use super::{
    super::{found::Found, mistake::Wrong, note::Note, object::Object, place::Place},
    state::{self, State},
};

const NEEDED: [&str; 6] =
    ["blocked_by", "blockedBy", "dependencies", "depends_on", "dependsOn", "deps"];
const FOLDERS: [&str; 6] = ["repo", "dir", "directory", "folder", "workdir", "working_directory"];
const CRITERIA: [&str; 2] = ["acceptanceCriteria", "acceptance_criteria"];
/// What a task says of itself, beside what a plan has.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) id: Option<String>,
    pub(super) needed: Vec<String>,
    /// Where the needed ones are named.
    pub(super) needed_place: Option<Place>,
    pub(super) state: State,
}

/// Takes members out of a task.
pub(super) struct Take<'a> {
    pub(super) object: &'a mut Object,
    pub(super) found: &'a mut Found,
    /// Of the task.
    pub(super) place: Place,
}

impl Take<'_> {
    fn member(&mut self, names: &[&str]) -> Option<(Place, Value)> {
        let name = names.iter().find(|name| self.object.members.contains_key(**name))?;
        let place = self.object.place_of(name).unwrap_or(self.place);
        let value = self.object.members.remove(*name).filter(|value| !value.is_null())?;
        Some((place, value))
    }

    pub(super) fn entry(&mut self) -> Entry {
        self.member(&["metadata"]);
        let mut entry = Entry::default();
        if let Some((place, id)) = self.member(&["id"]) {
            match word(&id) {
                Some(id) if !id.is_empty() => entry.id = Some(id),
                Some(_) => {}
                None => self.found.mistake(place, "id must be a string or a number"),
            }
        }
        if let Some(id) = &entry.id {
            let name = as_name(id);
            self.name(&name);
        }
        if let Some((place, needed)) = self.member(&NEEDED) {
            entry.needed_place = Some(place);
            match words(&needed) {
                Some(words) => {
                    entry.needed = words.into_iter().filter(|word| !word.is_empty()).collect();
                }
                None => self.found.mistake(place, "blocked_by must be a list of ids"),
            }
        }
        entry.state = self.state();
        entry
    }

    /// The id is the name, unless the task has one that others can refer to.
    fn name(&mut self, name: &str) {
        if let Some(Value::String(own)) = self.object.members.get("name") {
            if plan::is_name(own) {
                return;
            }
            let own = own.clone();
            let place = self.object.place_of("name").unwrap_or(self.place);
            if !self.object.members.contains_key("label") {
                self.object.insert("label".to_owned(), place, Value::String(own));
            }
        }
        self.object.insert("name".to_owned(), self.place, Value::from(name));
    }

    /// What is done by one member is done, whatever the others say.
    fn state(&mut self) -> State {
        let mut state = State::Open;
        for name in self.object.members.keys().cloned().collect::<Vec<String>>() {
            let Some(kind) = state::Kind::of(&name) else { continue };
            let Some((place, value)) = self.member(&[&name]) else { continue };
            match kind.read(&name, &value) {
                Ok(State::Open) => {}
                Ok(State::Done) => state = State::Done,
                Ok(other) if state == State::Open => state = other,
                Ok(State::Other(_)) => {}
                Err(Wrong(what)) => self.found.mistake(place, what),
            }
        }
        state
    }

    pub(super) fn folder(&mut self) {
        if self.object.members.contains_key("cwd") {
            return;
        }
        let Some((place, folder)) = self.member(&FOLDERS) else { return };
        if folder
            .as_str()
            .is_some_and(|folder| folder.contains("://") || folder.starts_with("git@"))
        {
            self.found.mistake(place, "repo must be a folder of this machine; clone it first");
        } else {
            self.object.insert("cwd".to_owned(), place, folder);
        }
    }

    /// A story has no prompt of its own.
    pub(super) fn text(&mut self) {
        let has_prompt = self.object.members.contains_key("prompt");
        let title = self.member(&["title"]);
        if let Some((place, title)) = &title
            && !self.object.members.contains_key("label")
        {
            self.object.insert("label".to_owned(), *place, title.clone());
        }
        if has_prompt {
            return;
        }
        let mut parts: Vec<String> = Vec::new();
        parts.extend(title.as_ref().and_then(|(_, title)| word(title)));
        if let Some((place, description)) = self.member(&["description"]) {
            match description.as_str() {
                Some(text) => parts.push(text.to_owned()),
                None => self.found.mistake(place, "description must be a string"),
            }
        }
        if let Some((place, criteria)) = self.member(&CRITERIA) {
            match words(&criteria) {
                Some(lines) if !lines.is_empty() => {
                    let list: String = lines.iter().map(|line| format!("\n- {line}")).collect();
                    parts.push(format!("Acceptance criteria:{list}"));
                }
                Some(_) => {}
                None => {
                    self.found.mistake(place, "acceptanceCriteria must be a list of strings");
                }
            }
        }
        parts.retain(|part| !part.trim().is_empty());
        if !parts.is_empty() {
            let prompt = Value::String(parts.join("\n\n"));
            let place = title.map_or(self.place, |(place, _)| place);
            self.object.insert("prompt".to_owned(), place, prompt);
        }
    }

    /// Notes what only the other program knows; what looks like a typing error stays, to be refused.
    pub(super) fn leave_unused(&mut self) {
        let known = known_members();
        let names: Vec<String> = self.object.members.keys().cloned().collect();
        for name in names {
            let is_known = known.contains(&name.as_str());
            if !is_known && !is_misspelt(&name, known.iter().copied()) {
                let place = self.object.place_of(&name).unwrap_or(self.place);
                self.object.members.remove(&name);
                self.found.notes.push(Note::new(place, &format!("{name} is not used"), ""));
            }
        }
    }
}

fn known_members() -> Vec<&'static str> {
    OWN_MEMBERS.into_iter().chain(COMMON_PARAMS).chain(PROMPT_PARAMS).collect()
}

/// Whether a name is most likely one of these with a typing error.
pub(in crate::input) fn is_misspelt<'k>(
    name: &str,
    mut known: impl Iterator<Item = &'k str>,
) -> bool {
    /// A shorter one is soon like another word.
    const SHORT_BYTES: usize = 6;
    let limit = if name.len() < SHORT_BYTES { 1 } else { 2 };
    known.any(|known| strsim::damerau_levenshtein(name, known) <= limit)
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list of words, or a single one.
fn words(value: &Value) -> Option<Vec<String>> {
    match value.as_array() {
        Some(all) => all.iter().map(word).collect(),
        None => word(value).map(|one| vec![one]),
    }
}

/// An id in letters that a name may have.
pub(super) fn as_name(id: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() || "_.-".contains(letter) { letter } else { '_' }
    };
    id.trim().chars().map(letter).take(NAME_CHARS_LIMIT).collect()
}
