//! Members by which other programs describe their tasks, put in the words of a plan.
//!
//! `id` names a task, and `blocked_by` and its like name those before it; `status` and `passes` say whether it is done;
//! `repo` is its folder; a story without a prompt has `title`, `description` and `acceptanceCriteria`. What is done is
//! not run, and what needs it does not wait for it. What has a status that is neither open nor done is not run either,
//! nor is what needs it: all of that is noted.

use std::collections::{HashMap, HashSet};

use cc_batch::{limits::NAME_CHARS_LIMIT, plan, plan::OWN_MEMBERS};
use cc_protocol::execute::{COMMON_PARAMS, PROMPT_PARAMS};
use serde_json::Value;

use super::{FileTask, Found, note::Note, object::Object, place::Place};

/// How the members are taken that a plan does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Beside a prompt or a title those named here are taken, and all others are mistakes.
    OnlyKnown,
    /// The file is another program's: what is not known is noted, and not used.
    Foreign,
}

const NEEDED: [&str; 6] =
    ["blocked_by", "blockedBy", "dependencies", "depends_on", "dependsOn", "deps"];
const FOLDERS: [&str; 6] = ["repo", "dir", "directory", "folder", "workdir", "working_directory"];
const CRITERIA: [&str; 2] = ["acceptanceCriteria", "acceptance_criteria"];
const OPEN: [&str; 15] = [
    "",
    "backlog",
    "error",
    "failed",
    "incomplete",
    "new",
    "not done",
    "not started",
    "open",
    "pending",
    "planned",
    "queued",
    "ready",
    "to do",
    "todo",
];
const DONE: [&str; 12] = [
    "closed",
    "complete",
    "completed",
    "done",
    "finished",
    "merged",
    "pass",
    "passed",
    "resolved",
    "shipped",
    "succeeded",
    "success",
];

/// What a task says of itself, beside what a plan has.
#[derive(Debug, Default)]
struct Entry {
    id: Option<String>,
    needed: Vec<String>,
    /// Where the needed ones are named.
    needed_place: Option<Place>,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Done,
    Other(String),
}

/// Settles what all tasks of a file say.
pub(super) fn settle(mut found: Found, manner: Manner) -> Found {
    if let Some(mistake) = of_batch_api(&found) {
        found.tasks.clear();
        found.mistakes.clear();
        found.lacks_tasks = true;
        found.mistake(mistake, OF_BATCH_API);
        return found;
    }
    let mut tasks = std::mem::take(&mut found.tasks);
    let entries: Vec<Entry> =
        tasks.iter_mut().map(|task| entry(task, manner, &mut found)).collect();
    let names = names(&tasks, &entries);
    let passed_over = passed_over(&tasks, &entries, &names, &mut found);
    let done: HashSet<&str> = entries
        .iter()
        .zip(&tasks)
        .filter(|(entry, _)| entry.state == State::Done)
        .filter_map(|(_, task)| name_of(task))
        .collect();
    let done: HashSet<String> = done.into_iter().map(str::to_owned).collect();
    for (index, (mut task, entry)) in tasks.into_iter().zip(entries).enumerate() {
        if let Some(object) = &mut task.object {
            set_needs(object, &entry, &names, &done);
        }
        match entry.state {
            State::Done => {
                found.notes.push(Note::new(task.place, "passed over, done", &title_of(&task)));
                task.is_done = true;
                found.done.push(task);
            }
            State::Open | State::Other(_) if passed_over.contains(&index) => {}
            State::Open | State::Other(_) => found.tasks.push(task),
        }
    }
    found
}

const OF_BATCH_API: &str = "is a request for a batch API (custom_id with params or body), which ccx does not send: \
    it runs agents; take the text of the messages in params as a prompt, as in {\"name\": \"a-1\", \"prompt\": \"...\"}";

fn of_batch_api(found: &Found) -> Option<Place> {
    let is_request = |task: &&FileTask| {
        let has = |name: &str| {
            task.object.as_ref().is_some_and(|object| object.members.contains_key(name))
        };
        has("custom_id") && (has("params") || has("body") || has("request"))
    };
    found.tasks.iter().find(is_request).map(|task| task.place)
}

fn entry(task: &mut FileTask, manner: Manner, found: &mut Found) -> Entry {
    let place = task.place;
    let Some(object) = &mut task.object else { return Entry::default() };
    let has = |object: &Object, name: &str| object.members.contains_key(name);
    let is_program = has(object, "command") || has(object, "argv");
    let is_text = has(object, "prompt") || has(object, "title") || has(object, "description");
    if manner == Manner::OnlyKnown && (is_program || !is_text) {
        return Entry::default();
    }
    let mut take = Take { object, found, place };
    let entry = take.entry();
    take.folder();
    if !is_program {
        take.text();
    }
    if manner == Manner::Foreign {
        take.leave_unused();
    }
    entry
}

/// Takes members out of a task.
struct Take<'a> {
    object: &'a mut Object,
    found: &'a mut Found,
    /// Of the task.
    place: Place,
}

impl Take<'_> {
    fn member(&mut self, names: &[&str]) -> Option<(Place, Value)> {
        let name = names.iter().find(|name| self.object.members.contains_key(**name))?;
        let place = self.object.place_of(name).unwrap_or(self.place);
        let value = self.object.members.remove(*name).filter(|value| !value.is_null())?;
        Some((place, value))
    }

    fn entry(&mut self) -> Entry {
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
            let words = match &needed {
                Value::Array(all) => all.iter().map(word).collect(),
                one => word(one).map(|one| vec![one]),
            };
            entry.needed_place = Some(place);
            match words {
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

    fn state(&mut self) -> State {
        let mut state = State::Open;
        if let Some((place, status)) = self.member(&["status"]) {
            match &status {
                Value::String(status) => {
                    let plain = status.trim().to_lowercase().replace(['_', '-'], " ");
                    state = if DONE.contains(&plain.as_str()) {
                        State::Done
                    } else if OPEN.contains(&plain.as_str()) {
                        State::Open
                    } else {
                        State::Other(status.clone())
                    };
                }
                _ => self.found.mistake(place, "status must be a string"),
            }
        }
        if let Some((place, passes)) = self.member(&["passes"]) {
            match passes {
                Value::Bool(true) => state = State::Done,
                Value::Bool(false) => {}
                _ => self.found.mistake(place, "passes must be true or false"),
            }
        }
        state
    }

    fn folder(&mut self) {
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
    fn text(&mut self) {
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
            match description {
                Value::String(text) => parts.push(text),
                _ => self.found.mistake(place, "description must be a string"),
            }
        }
        if let Some((place, criteria)) = self.member(&CRITERIA) {
            let lines: Option<Vec<String>> = match &criteria {
                Value::Array(all) => all.iter().map(word).collect(),
                one => word(one).map(|one| vec![one]),
            };
            match lines {
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
    fn leave_unused(&mut self) {
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
pub(super) fn is_misspelt<'k>(name: &str, mut known: impl Iterator<Item = &'k str>) -> bool {
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

/// An id in letters that a name may have.
fn as_name(id: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() || "_.-".contains(letter) { letter } else { '_' }
    };
    id.trim().chars().map(letter).take(NAME_CHARS_LIMIT).collect()
}

fn title_of(task: &FileTask) -> String {
    let Some(object) = &task.object else { return String::new() };
    let label = object.members.get("label").and_then(Value::as_str).map(str::to_owned);
    label.or_else(|| object.command()).unwrap_or_default()
}

fn name_of(task: &FileTask) -> Option<&str> {
    task.object.as_ref()?.members.get("name")?.as_str()
}

/// The place of a task among all, by its id and by its name.
fn names(tasks: &[FileTask], entries: &[Entry]) -> HashMap<String, (usize, String)> {
    let mut names = HashMap::new();
    for (index, (task, entry)) in tasks.iter().zip(entries).enumerate() {
        let Some(name) = name_of(task) else { continue };
        for key in [Some(name), entry.id.as_deref()].into_iter().flatten() {
            names.entry(key.to_owned()).or_insert_with(|| (index, name.to_owned()));
        }
    }
    names
}

/// The tasks that are not run because of a status, their own or that of one that they need.
fn passed_over(
    tasks: &[FileTask],
    entries: &[Entry],
    names: &HashMap<String, (usize, String)>,
    found: &mut Found,
) -> HashSet<usize> {
    let mut passed_over = HashSet::new();
    for (index, (task, entry)) in tasks.iter().zip(entries).enumerate() {
        if let State::Other(status) = &entry.state {
            let what =
                format!("passed over, with the status {status:?}, which is neither open nor done");
            found.notes.push(Note::new(task.place, &what, &title_of(task)));
            passed_over.insert(index);
        }
    }
    loop {
        let known = passed_over.len();
        for (index, (task, entry)) in tasks.iter().zip(entries).enumerate() {
            let stopped = entry
                .needed
                .iter()
                .find(|id| names.get(*id).is_some_and(|(needed, _)| passed_over.contains(needed)));
            if let (Some(id), State::Open) = (stopped, &entry.state)
                && passed_over.insert(index)
            {
                let what = format!("passed over, as it needs {id:?}, which is not run");
                found.notes.push(Note::new(task.place, &what, ""));
            }
        }
        if passed_over.len() == known {
            return passed_over;
        }
    }
}

/// What is done is needed no more.
fn set_needs(
    object: &mut Object,
    entry: &Entry,
    names: &HashMap<String, (usize, String)>,
    done: &HashSet<String>,
) {
    let name_of = |id: &String| names.get(id).map_or_else(|| as_name(id), |(_, name)| name.clone());
    let added = entry.needed.iter().map(name_of).filter(|name| !done.contains(name));
    let added: Vec<Value> = added.map(Value::String).collect();
    if let Some(Value::Array(needs)) = object.members.get_mut("needs") {
        needs.retain(|name| name.as_str().is_none_or(|name| !done.contains(name)));
        needs.extend(added);
    } else if let (Some(place), false) = (entry.needed_place, added.is_empty()) {
        object.insert("needs".to_owned(), place, Value::Array(added));
    }
}

#[cfg(test)]
mod tests;
