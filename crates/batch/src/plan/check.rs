//! What the tasks of a plan say about each other: names, needs, references, and that there is an order.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{need::Need, options::Options, task::PlanTask};
use crate::{
    mistake::{Mistakes, Place, nearest},
    order,
    template::{self, Reference},
};

/// For each task what it needs. `None` among the tasks is one of which nothing could be read; `misnamed` are names that
/// some have and none may have.
pub(super) fn needs(
    tasks: &[Option<PlanTask>],
    misnamed: &HashSet<String>,
    options: &Options,
    mistakes: &mut Mistakes,
) -> Vec<Vec<Need>> {
    let names = names(tasks, mistakes);
    let all_read = tasks.iter().all(Option::is_some);
    let mut needs = Vec::with_capacity(tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        let Some(task) = task else {
            needs.push(Vec::new());
            continue;
        };
        let place = Place::Task { index, name: task.name.as_deref() };
        let mut check =
            Check { index, place, names: &names, misnamed, all_read, options, mistakes };
        needs.push(check.needs_of(task));
    }
    if let Err(cycle) = order::topological(&needs) {
        let name = |index: usize| {
            let name =
                tasks.get(index).and_then(Option::as_ref).and_then(|task| task.name.as_deref());
            name.map_or_else(|| format!("task {}", index + 1), str::to_owned)
        };
        let circle: Vec<String> =
            cycle.members.iter().chain(cycle.members.first()).map(|index| name(*index)).collect();
        let first = cycle.members.first().copied().unwrap_or_default();
        let first_name = name(first);
        let place = Place::Task { index: first, name: Some(&first_name) };
        let what =
            format!("goes in a circle, so that none could begin: {}", circle.join(" needs "));
        mistakes.push(place, "needs", what);
    }
    needs
}

/// The tasks by their names, of which each may occur once.
fn names<'t>(tasks: &'t [Option<PlanTask>], mistakes: &mut Mistakes) -> HashMap<&'t str, usize> {
    let mut names = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let Some(name) = task.as_ref().and_then(|task| task.name.as_deref()) else { continue };
        if let Some(first) = names.get(name) {
            let what = format!("is also the name of task {}: each name may occur once", first + 1);
            mistakes.push(Place::Task { index, name: Some(name) }, "name", what);
        } else {
            names.insert(name, index);
        }
    }
    names
}

/// One task among the others.
struct Check<'a, 'm> {
    index: usize,
    place: Place<'a>,
    names: &'a HashMap<&'a str, usize>,
    misnamed: &'a HashSet<String>,
    /// Else a name that is not there may be that of a task of which nothing could be read.
    all_read: bool,
    options: &'a Options,
    mistakes: &'m mut Mistakes,
}

impl Check<'_, '_> {
    fn needs_of(&mut self, task: &PlanTask) -> Vec<Need> {
        let mut needs = BTreeMap::new();
        for name in &task.needs {
            if let Some(other) = self.find("needs", name) {
                needs.insert(other, false);
            }
        }
        for (field, reference) in self.references(task) {
            let other = match &reference {
                Reference::Prev => self.prev(&field),
                Reference::Task(name) => self.find(&field, name),
            };
            let Some(other) = other else { continue };
            if other > self.index && !needs.contains_key(&other) {
                let what = format!(
                    "uses the result of task {}, which stands later; if that is meant, name it in needs",
                    other + 1
                );
                self.mistakes.push(self.place, &field, what);
                continue;
            }
            needs.insert(other, true);
        }
        needs.into_iter().map(|(task, result)| Need { task, result }).collect()
    }

    fn references(&mut self, task: &PlanTask) -> Vec<(String, Reference)> {
        let mut references = Vec::new();
        for field in template::fields(&task.execute) {
            match field.references() {
                Ok(found) => {
                    references.extend(found.into_iter().map(|found| (field.name.clone(), found)));
                }
                Err(error) => self.mistakes.push(self.place, &field.name, error.to_string()),
            }
        }
        references
    }

    fn prev(&mut self, field: &str) -> Option<usize> {
        if self.options.jobs > 1 {
            let what = "uses {{prev.result}}, which has a meaning only with jobs = 1; \
                        name the task and use {{tasks.NAME.result}}";
            self.mistakes.push(self.place, field, what);
            return None;
        }
        let prev = self.index.checked_sub(1);
        if prev.is_none() {
            let what = "uses {{prev.result}}, but no task stands before this one";
            self.mistakes.push(self.place, field, what);
        }
        prev
    }

    fn find(&mut self, field: &str, name: &str) -> Option<usize> {
        let found = self.names.get(name).copied();
        if found == Some(self.index) {
            self.mistakes.push(self.place, field, "refers to the task itself");
            return None;
        }
        if found.is_none() && self.all_read && !self.misnamed.contains(name) {
            let what = match nearest(name, self.names.keys().copied()) {
                Some(near) => {
                    format!("refers to {name:?}, which no task is; did you mean {near:?}?")
                }
                None => format!("refers to {name:?}, which no task is"),
            };
            self.mistakes.push(self.place, field, what);
        }
        found
    }
}
