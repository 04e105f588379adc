//! One task of a plan, read and checked by itself.

use cc_protocol::{
    error::ErrorObject,
    execute::{COMMON_PARAMS, Execute, PROMPT_PARAMS, Program},
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{
    arguments,
    members::Members,
    need::{is_name, name_rule},
};
use crate::{
    limits::{NEEDS_LIMIT, PROMPT_BYTES_LIMIT, RETRIES_DEFAULT, RETRIES_LIMIT},
    mistake::{Mistakes, Place},
};

/// Members of a task that `execute` does not have, or has otherwise.
pub const OWN_MEMBERS: [&str; 6] =
    ["name", "needs", "retries", "retry_timed_out", "allow_failure", "timeout"];
/// What makes a task the one that it is, so that it has no default.
const NO_DEFAULT: [&str; 6] = ["name", "needs", "label", "command", "argv", "prompt"];
/// Parameters of `execute` that a batch's task does not take: it belongs to no session anyhow.
const NOT_TAKEN: [&str; 1] = ["detach"];

/// One task of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanTask {
    /// By which others refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What to run, with references not filled in. Its `timeout` is never set: see `timeout`.
    #[serde(flatten)]
    pub execute: Execute,
    /// How long an attempt may take.
    #[serde(skip_serializing_if = "Timeout::is_default")]
    pub timeout: Timeout,
    /// Attempts after the first, where the failure is a transient one.
    pub retries: u32,
    /// A timeout counts as transient.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_timed_out: bool,
    /// Names of tasks that must have succeeded before it begins. References add to these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its failure counts for no halt, and tasks that need it begin all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_failure: bool,
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Timeout {
    /// The supervisor's default.
    #[default]
    Default,
    Seconds(f64),
    /// From experience: see [`crate::timeout_auto`].
    Auto,
}

impl Timeout {
    fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

impl Serialize for Timeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_none(),
            Self::Seconds(seconds) => serializer.serialize_f64(*seconds),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

/// Reads one task; `None` if nothing of it can be read. Where only something is wrong with it, the rest is returned, so
/// that what it says of other tasks, and they of it, is checked, too: it becomes no part of any plan.
pub(super) fn read(
    index: usize,
    value: Value,
    defaults: &Map<String, Value>,
    mistakes: &mut Mistakes,
) -> Option<PlanTask> {
    let nameless = Place::Task { index, name: None };
    let Value::Object(mut map) = value else {
        mistakes.push(nameless, "task", "must be an object, such as {\"prompt\": \"...\"}");
        return None;
    };
    add_defaults(&mut map, defaults);
    let name = match map.get("name") {
        Some(Value::String(name)) if is_name(name) => Some(name.clone()),
        Some(Value::Null) | None => None,
        Some(_) => {
            mistakes.push(nameless, "name", name_rule());
            None
        }
    };
    map.remove("name");
    let place = Place::Task { index, name: name.as_deref() };
    read_members(Members { map, place, mistakes })
        .map(|task| PlanTask { name: name.clone(), ..task })
}

fn read_members(mut members: Members<'_, '_>) -> Option<PlanTask> {
    let known: Vec<&str> = OWN_MEMBERS
        .into_iter()
        .chain(COMMON_PARAMS.into_iter().filter(|name| *name != "timeout"))
        .chain(PROMPT_PARAMS)
        .filter(|name| !NOT_TAKEN.contains(name))
        .collect();
    members.refuse_unknown(&known);
    let retries = members.whole("retries", 0, RETRIES_LIMIT).unwrap_or(RETRIES_DEFAULT);
    let retry_timed_out = members.flag("retry_timed_out").unwrap_or(false);
    let allow_failure = members.flag("allow_failure").unwrap_or(false);
    let needs = members.texts("needs").unwrap_or_default();
    if needs.len() > NEEDS_LIMIT {
        members.mistake("needs", format!("names more than {NEEDS_LIMIT} tasks"));
    }
    let is_auto = take_auto(&mut members);
    let mut execute = read_what_is_sound(&mut members)?.0;
    if let Program::Prompt(prompt) = &execute.program
        && prompt.prompt.len() > PROMPT_BYTES_LIMIT
    {
        let bytes = prompt.prompt.len();
        members.mistake(
            "prompt",
            format!("has {bytes} bytes; at most {PROMPT_BYTES_LIMIT} are taken"),
        );
    }
    arguments::check(&execute, &mut members);
    let timeout = match execute.timeout.take() {
        _ if is_auto => Timeout::Auto,
        Some(seconds) => Timeout::Seconds(seconds),
        None => Timeout::Default,
    };
    Some(PlanTask { name: None, execute, timeout, retries, retry_timed_out, needs, allow_failure })
}

/// Takes a timeout that is a word, which `execute` does not know.
fn take_auto(members: &mut Members<'_, '_>) -> bool {
    match members.map.get("timeout") {
        Some(Value::String(word)) => {
            let is_auto = word == "auto";
            if !is_auto {
                let what = format!("is {word:?}; it takes a number of seconds and \"auto\"");
                members.mistake("timeout", what);
            }
            members.map.remove("timeout");
            is_auto
        }
        Some(_) | None => false,
    }
}

/// Reads what is left; `None` if anything is wrong with it.
pub(super) fn read_execute(members: &mut Members<'_, '_>) -> Option<Execute> {
    let (execute, is_sound) = read_what_is_sound(members)?;
    is_sound.then_some(execute)
}

/// Reads what is left by the wire contract's own reader, so that a plan and a request never differ.
/// That reader stops at the first mistake; so each one is taken out and the rest is read again. Says whether nothing
/// had to be taken out.
fn read_what_is_sound(members: &mut Members<'_, '_>) -> Option<(Execute, bool)> {
    let mut map = std::mem::take(&mut members.map);
    map.retain(|_, value| !value.is_null());
    let has_label = map.contains_key("label");
    if !has_label {
        // A request of `command` and `timeout` alone is of the old form, which is lenient.
        map.insert("label".to_owned(), "".into());
    }
    let mut is_sound = true;
    loop {
        match Execute::from_params(map.clone()) {
            Ok(mut execute) => {
                if !has_label {
                    execute.label = None;
                }
                return Some((execute, is_sound));
            }
            Err(error) => {
                is_sound = false;
                let (field, what) = field_and_what(&error);
                members.mistake(&field, what);
                let was_there = map.remove(&field).is_some();
                let has_program =
                    ["command", "argv", "prompt"].iter().any(|form| map.contains_key(*form));
                if !was_there && has_program {
                    return None;
                }
                if !has_program {
                    // Any stand-in will do, now that the mistake is noted: a prompt takes most members.
                    map.insert("prompt".to_owned(), "-".into());
                }
            }
        }
    }
}

fn field_and_what(error: &ErrorObject) -> (String, String) {
    let field = error.data.get("field").and_then(Value::as_str).unwrap_or("task").to_owned();
    let what = error
        .message
        .split_once(": ")
        .and_then(|(_, rest)| rest.strip_prefix(&field))
        .map_or(error.message.as_str(), str::trim_start);
    (field, what.to_owned())
}

/// Adds what the task does not say itself; a null says "none". Variables are added one by one.
fn add_defaults(map: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    let is_prompt = map.contains_key("prompt");
    for (name, default) in defaults {
        if PROMPT_PARAMS.contains(&name.as_str()) && !is_prompt {
            continue;
        }
        match (map.get_mut(name), default) {
            (None, default) => {
                map.insert(name.clone(), default.clone());
            }
            (Some(Value::Object(own)), Value::Object(default)) if name == "env" => {
                for (variable, value) in default {
                    own.entry(variable).or_insert_with(|| value.clone());
                }
            }
            (Some(_), _) => {}
        }
    }
}

/// Checks the defaults once, so that a wrong one is not reported for each task; returns the sound.
pub(super) fn check_defaults(
    defaults: Map<String, Value>,
    mistakes: &mut Mistakes,
) -> Map<String, Value> {
    let place = Place::Plan { prefix: "options.defaults." };
    let mut sound = Map::new();
    for (name, value) in defaults {
        if NO_DEFAULT.contains(&name.as_str()) {
            mistakes.push(place, &name, "has no default: each task says it itself");
            continue;
        }
        let mut alone = Map::new();
        alone.insert("prompt".to_owned(), "-".into());
        alone.insert(name.clone(), value.clone());
        let known = mistakes.count();
        read_members(Members { map: alone, place, mistakes });
        if mistakes.count() == known {
            sound.insert(name, value);
        }
    }
    sound
}
