//! Reads and checks a whole plan.

use std::collections::HashSet;

use cc_protocol::execute::Execute;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    check,
    members::Members,
    need::{Need, is_name, name_rule},
    options::{self, Options},
    task::{self, PlanTask},
};
use crate::{
    limits::{IDEMPOTENCY_KEY_BYTES_LIMIT, TASKS_LIMIT},
    mistake::{Mistakes, Place},
    template::{self, Missing, Reference},
};

pub const PLAN_MEMBERS: [&str; 4] = ["name", "idempotency_key", "options", "tasks"];

/// A sound plan: there is no other. Written as JSON and read again it is the same plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Plan {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The same key gives the same batch and not a second one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What holds for the batch as a whole. Its `defaults` are already in the tasks.
    pub options: Options,
    /// At least one.
    pub tasks: Vec<PlanTask>,
    /// For each task what it needs, also by its references. Of no plan that was not checked.
    #[serde(skip)]
    pub(super) needs: Vec<Vec<Need>>,
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// All mistakes at once, in the order of the tasks.
    pub fn from_params(params: Map<String, Value>) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let place = Place::Plan { prefix: "" };
        let mut members = Members { map: params, place, mistakes: &mut mistakes };
        members.refuse_unknown(&PLAN_MEMBERS);
        let name = members.text("name");
        if name.as_ref().is_some_and(|name| !is_name(name)) {
            members.mistake("name", name_rule());
        }
        let idempotency_key = members.text("idempotency_key");
        let key_bytes = idempotency_key.as_ref().map_or(1, String::len);
        if !(1..=IDEMPOTENCY_KEY_BYTES_LIMIT).contains(&key_bytes) {
            let what = format!("must have 1 to {IDEMPOTENCY_KEY_BYTES_LIMIT} bytes");
            members.mistake("idempotency_key", what);
        }
        let options = members.object("options").unwrap_or_default();
        let values = read_list(&mut members);
        let (options, defaults) = options::read(options, &mut mistakes);
        let defaults = task::check_defaults(defaults, &mut mistakes);
        let misnamed = misnamed(&values);
        // A task that could not be read keeps its place, so that the others' numbers stay right.
        let tasks: Vec<Option<PlanTask>> = values
            .into_iter()
            .enumerate()
            .map(|(index, value)| task::read(index, value, &defaults, &mut mistakes))
            .collect();
        let needs = check::needs(&tasks, &misnamed, &options, &mut mistakes);
        if mistakes.count() > 0 {
            mistakes.sort();
            return Err(mistakes);
        }
        let tasks = tasks.into_iter().flatten().collect();
        Ok(Self { name, idempotency_key, options, tasks, needs })
    }

    /// For each task what it needs: what it names, and what it refers to. Without cycles.
    #[must_use]
    pub fn needs(&self) -> &[Vec<Need>] {
        &self.needs
    }

    /// What an attempt of the task runs, with the results of others filled in. `result_of` gives the
    /// text of a task's result. The timeout is the caller's to add.
    ///
    /// # Errors
    /// [`Missing`] names a task that has no result. The state machine starts no such task.
    pub fn execute<'r>(
        &self,
        index: usize,
        result_of: impl Fn(usize) -> Option<&'r str>,
    ) -> Result<Execute, Missing> {
        let Some(task) = self.tasks.get(index) else { return Err(Missing { task: index }) };
        template::fill(&task.execute, |reference| {
            let task = match reference {
                Reference::Prev => index.checked_sub(1),
                Reference::Task(name) => self.index_of(name),
            };
            task.map_or(Err(Missing { task: index }), |task| {
                result_of(task).ok_or(Missing { task })
            })
        })
    }

    /// What of a task has come to nothing, and why, once the results are filled in: an agent that is started without
    /// a prompt costs money for nothing, and a program without a folder runs in another one.
    #[must_use]
    pub fn emptied(&self, index: usize, filled: &Execute) -> Option<String> {
        let field = template::emptied(filled)?;
        let task = self.tasks.get(index)?;
        let fields = template::fields(&task.execute);
        let references = fields.iter().find(|known| known.name == field)?.references().ok()?;
        let references: Vec<String> = references.iter().map(ToString::to_string).collect();
        // What is empty without any was written so.
        (!references.is_empty()).then_some(())?;
        Some(format!("its {field} is empty: {} filled in to nothing", references.join(" and ")))
    }

    /// The task of that name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.name.as_deref() == Some(name))
    }
}

impl TryFrom<Map<String, Value>> for Plan {
    type Error = Mistakes;

    fn try_from(params: Map<String, Value>) -> Result<Self, Mistakes> {
        Self::from_params(params)
    }
}

fn read_list(members: &mut Members<'_, '_>) -> Vec<Value> {
    let Some(tasks) = members.take("tasks") else {
        members.mistake("tasks", "is missing: a list of at least one task");
        return Vec::new();
    };
    let Value::Array(values) = tasks else {
        members.mistake("tasks", "must be a list");
        return Vec::new();
    };
    let count = values.len();
    if count == 0 {
        members.mistake("tasks", "is empty: a batch has at least one task");
    } else if count > TASKS_LIMIT {
        let what = format!("holds {count} tasks; at most {TASKS_LIMIT} are taken: split the batch");
        members.mistake("tasks", what);
        return Vec::new();
    }
    values
}

/// What tasks are called that cannot be called so: who refers to one means it, and makes no mistake of its own.
fn misnamed(values: &[Value]) -> HashSet<String> {
    let names = values.iter().filter_map(|value| value.get("name")?.as_str());
    names.filter(|name| !is_name(name)).map(str::to_owned).collect()
}
