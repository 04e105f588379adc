//! Members by which other programs describe their tasks, translated to those of a plan.
//!
//! `id` names a task, `blocked_by` and its synonyms name the tasks before it; `status`, `passes` and their synonyms (see
//! [`state`]) say whether it is done; `repo` is its folder; a story without a prompt has `title`, `description` and
//! `acceptanceCriteria`. A task that is done does not run, and tasks that need it do not wait for it. A task with a
//! status that is neither open nor done does not run, and neither does what needs it. Each of these is noted.

mod member;
mod state;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

pub(super) use self::member::is_misspelt;
use self::{
    member::{Entry, Take, as_name},
    state::State,
};
use super::{
    found::{FileTask, Found},
    note::Note,
    object::Object,
    place::Place,
};

/// What happens to members that a plan does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Beside a prompt or a title those named here are taken, and all others are mistakes.
    OnlyKnown,
    /// The file belongs to another program: unknown members are noted and not used.
    Foreign,
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
        if let State::Other(why) = &entry.state {
            let what = format!("passed over, {why}");
            found.notes.push(Note::new(task.place, &what, &title_of(task)));
            passed_over.insert(index);
        }
    }
    let mut dependents: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, it)| it.state == State::Open) {
        for (needed, _) in entry.needed.iter().filter_map(|id| names.get(id)) {
            dependents.entry(*needed).or_default().push(index);
        }
    }
    let mut next: Vec<usize> = passed_over.iter().copied().collect();
    while let Some(index) = next.pop() {
        for dependent in dependents.remove(&index).unwrap_or_default() {
            if passed_over.insert(dependent)
                && let Some(task) = tasks.get(dependent)
            {
                let what = "passed over, as it needs a task that is not run";
                found.notes.push(Note::new(task.place, what, &title_of(task)));
                next.push(dependent);
            }
        }
    }
    passed_over
}

/// Needs of tasks that are done are dropped.
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
