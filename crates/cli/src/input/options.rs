//! `[options]` of a `.toml` file: the options of a whole batch.

use std::{collections::HashMap, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{
    mistake::{Mistake, Wrong},
    object::{Object, unknown},
    place::Place,
};
use crate::args::duration;

/// The names, and the path in a plan of those that belong to it.
const NAMES: [(&str, Option<&str>); 21] = [
    ("after_batch", Some("options.hooks.after_batch")),
    ("after_task", Some("options.hooks.after_task")),
    ("agent", None),
    ("auth", Some("options.auth")),
    ("before_task", Some("options.hooks.before_task")),
    ("claude_jobs", Some("options.claude_jobs")),
    ("fail_fast", None),
    ("halt", Some("options.halt")),
    ("idempotency_key", Some("idempotency_key")),
    ("joblog", None),
    ("jobs", Some("options.jobs")),
    ("junit", None),
    ("max_cost", Some("options.max_cost_usd")),
    ("max_time", Some("options.max_time_s")),
    ("name", Some("name")),
    ("on_lost", Some("options.on_lost")),
    ("report", None),
    ("results", None),
    ("retries", Some("options.defaults.retries")),
    ("strict", Some("options.strict")),
    ("timeout", Some("options.defaults.timeout")),
];

/// The options of a file. The command line's own come before them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FileOptions {
    /// As `--agent`.
    pub(crate) agent: Option<String>,
    /// As `--joblog`.
    pub(crate) joblog: Option<PathBuf>,
    /// As `--junit`.
    pub(crate) junit: Option<PathBuf>,
    /// As `--report`.
    pub(crate) report: Option<PathBuf>,
    /// As `--results`.
    pub(crate) results: Option<PathBuf>,
    /// Values of the plan, with their paths.
    pub(super) of_plan: Vec<(&'static str, Value)>,
    /// The place of each of these, and its name in the file.
    pub(super) places: HashMap<&'static str, (Place, &'static str)>,
}

impl FileOptions {
    /// Reads the table; what is wrong with it is added to the mistakes.
    pub(super) fn of(object: Object, mistakes: &mut Vec<Mistake>) -> Self {
        let mut options = Self::default();
        for (name, value) in &object.members {
            let place = object.place_of(name).unwrap_or(Place::START);
            if let Err(Wrong(what)) = options.set(name, value, place) {
                mistakes.push(Mistake { place, what });
            }
        }
        options
    }

    fn set(&mut self, name: &str, value: &Value, place: Place) -> Result<(), Wrong> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let Some(&(name, of_plan)) = known else {
            return Err(Wrong(unknown(name, &NAMES.map(|(known, _)| known))));
        };
        if let Some(path) = of_plan {
            self.of_plan.push((path, as_in_a_plan(name, value)?));
            self.places.insert(path, (place, name));
            return Ok(());
        }
        if name == "fail_fast" {
            let is_wanted =
                value.as_bool().ok_or_else(|| Wrong::new("fail_fast must be true or false"))?;
            // `halt`, which says more, comes later by its name, and then counts.
            self.of_plan.extend(is_wanted.then(|| ("options.halt", Value::from("soon,fail=1"))));
            return Ok(());
        }
        let text = value.as_str().filter(|text| !text.is_empty());
        let text =
            text.ok_or_else(|| Wrong(format!("{name} must be a string that is not empty")))?;
        match name {
            "agent" => self.agent = Some(text.to_owned()),
            "joblog" => self.joblog = Some(text.into()),
            "junit" => self.junit = Some(text.into()),
            "report" => self.report = Some(text.into()),
            // The last one of the names.
            _ => self.results = Some(text.into()),
        }
        Ok(())
    }
}

/// People write some values in a shorter way than a plan has them.
fn as_in_a_plan(name: &str, value: &Value) -> Result<Value, Wrong> {
    match (name, value) {
        ("max_time", Value::String(text)) => {
            duration(text).map(Value::from).map_err(|error| Wrong(format!("max_time {error}")))
        }
        ("auth", Value::String(text)) => Ok(Value::String(text.replace('-', "_"))),
        ("before_task" | "after_task" | "after_batch", Value::String(command)) => {
            Ok(json!({ "command": command }))
        }
        (_, value) => Ok(value.clone()),
    }
}

/// Sets the value at a path of a plan, such as `options.hooks.after_task`. Variables
/// are added to those that exist.
pub(super) fn put(plan: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => match (plan.get_mut(path), value) {
            (Some(Value::Object(there)), Value::Object(more)) if path == "env" => {
                there.extend(more)
            }
            (_, value) => drop(plan.insert(path.to_owned(), value)),
        },
        Some((outer, inner)) => {
            let entry = plan.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(object) = entry {
                put(object, inner, value);
            }
        }
    }
}
