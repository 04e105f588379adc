//! From a file to a plan, or to all its mistakes with line and column.
//!
//! The plan's own reader judges, so that a file and a request never differ; its mistakes get the place of the member in
//! the file. It runs even if a part of the file could not be read, so that all mistakes are reported at once; mistakes
//! that may come from the missing part are dropped.

use cc_batch::{Mistake as PlanMistake, Plan, limits::TASKS_LIMIT};
use serde_json::{Map, Value};

use super::{
    found::{FileTask, Found, TaskFile},
    mistake::Mistake,
    object::Object,
    options::put,
    place::Place,
};

/// A task has exactly one of these.
const FORMS: [&str; 3] = ["command", "argv", "prompt"];
/// Path of the defaults of all tasks in a plan.
const DEFAULTS: &str = "options.defaults.";

/// The values of the command line, each with its path in a plan.
pub(crate) type CommandLine = Vec<(String, Value)>;

/// A file without mistakes.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) plan: Plan,
    /// Of each task.
    pub(crate) places: Vec<Place>,
    /// Whether the file marks each task as done.
    pub(crate) done: Vec<bool>,
}

impl TaskFile {
    /// The plan. The command line's values come before those of the file; `adapt` may change each
    /// task, and the defaults, before they are judged.
    pub(crate) fn plan(
        self,
        command_line: CommandLine,
        adapt: impl Fn(&mut Map<String, Value>),
    ) -> Result<Judged, Vec<Mistake>> {
        let mut found = self.0;
        for task in &mut found.tasks {
            if let Some(object) = &mut task.object {
                adapt(&mut object.members);
            }
        }
        if let Some(defaults) = &mut found.defaults {
            adapt(&mut defaults.members);
        }
        found.plan(command_line)
    }
}

impl Found {
    fn plan(mut self, command_line: CommandLine) -> Result<Judged, Vec<Mistake>> {
        if self.tasks.is_empty() && self.mistakes.is_empty() {
            self.mistake(self.place_if_none.unwrap_or(Place::START), self.if_none);
        }
        if let Some(first_too_many) = self.tasks.get(TASKS_LIMIT) {
            let place = first_too_many.place;
            self.mistake(place, format!("a batch may have at most {TASKS_LIMIT} tasks"));
            self.tasks.truncate(TASKS_LIMIT);
        }
        let params = self.params(&command_line);
        let mistakes = match Plan::from_params(params) {
            Ok(plan) if self.mistakes.is_empty() => {
                let places = self.tasks.iter().map(|task| task.place).collect();
                let done = self.tasks.iter().map(|task| task.is_done).collect();
                return Ok(Judged { plan, places, done });
            }
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.list,
        };
        let mut all: Vec<Mistake> =
            mistakes.into_iter().filter_map(|mistake| self.placed(mistake)).collect();
        all.append(&mut self.mistakes);
        all.sort_by_key(|mistake| mistake.place);
        Err(all)
    }

    fn params(&self, command_line: &CommandLine) -> Map<String, Value> {
        let mut params = Map::new();
        for (path, value) in &self.options.of_plan {
            put(&mut params, path, value.clone());
        }
        // `[defaults]` overrides `[options]`.
        for (name, value) in self.defaults.iter().flat_map(|defaults| &defaults.members) {
            put(&mut params, &format!("{DEFAULTS}{name}"), value.clone());
        }
        for (path, value) in command_line {
            put(&mut params, path, value.clone());
        }
        let mut tasks: Vec<Value> = self.tasks.iter().map(value).collect();
        if self.may_lack_names() && tasks.len() < TASKS_LIMIT {
            // A placeholder for tasks that could not be read: a missing name may be one of theirs.
            tasks.push(Value::Null);
        }
        params.insert("tasks".to_owned(), Value::Array(tasks));
        params
    }

    /// Whether a task may have a name that could not be read.
    fn may_lack_names(&self) -> bool {
        let is_part = |task: &FileTask| task.object.as_ref().is_none_or(|object| object.is_remnant);
        let is_known_to_lack = self.lacks_tasks || !self.doubtful_lines.is_empty();
        is_known_to_lack || self.tasks.is_empty() || self.tasks.iter().any(is_part)
    }

    /// The mistake with its place in the file; `None` if it comes from something unreadable.
    fn placed(&self, mistake: PlanMistake) -> Option<Mistake> {
        let PlanMistake { task_index, task_name: _, field, what } = mistake;
        let (place, name) = match task_index {
            Some(index) => {
                let task = self.tasks.get(index)?;
                let place = task.object.as_ref()?.place_of(&field).unwrap_or(task.place);
                (place, field)
            }
            None => self.place_of_batch(&field),
        };
        let is_doubtful = self.doubtful_lines.contains(&place.line);
        (!is_doubtful).then(|| Mistake { place, what: format!("{name} {what}") })
    }

    /// The place and name of a value of the whole batch.
    fn place_of_batch(&self, field: &str) -> (Place, String) {
        if let Some(name) = field.strip_prefix(DEFAULTS)
            && let Some(place) = self.defaults.as_ref().and_then(|table| table.place_of(name))
        {
            return (place, name.to_owned());
        }
        let option = self.options.places.iter().find(|(path, _)| {
            field.strip_prefix(**path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        match option {
            Some((path, (place, name))) => (*place, format!("{name}{}", &field[path.len()..])),
            None => {
                let name = field.strip_prefix(DEFAULTS).unwrap_or(field);
                (Place::START, format!("of the command line, {name}"))
            }
        }
    }
}

fn value(task: &FileTask) -> Value {
    let Some(Object { members, is_remnant, .. }) = &task.object else { return Value::Null };
    let mut members = members.clone();
    if *is_remnant && !FORMS.iter().any(|form| members.contains_key(*form)) {
        // The unreadable member may be the prompt.
        members.insert("prompt".to_owned(), Value::from("?"));
    }
    Value::Object(members)
}
