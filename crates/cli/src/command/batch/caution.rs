//! Checks the folders of a plan's tasks before they start: folders that do not exist, and folders that several tasks
//! may use at the same time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use cc_batch::{Plan, plan::PlanTask};
use cc_protocol::execute::Program;

use crate::{
    display::task::Task,
    input::{Mistake, Names, Place},
};

/// Most tasks of one folder that are compared pairwise.
const COMPARED_LIMIT: usize = 200;

/// A plan, and where its tasks stand in the file.
pub(super) struct Located<'a> {
    pub(super) plan: &'a Plan,
    /// Those of the plan.
    pub(super) tasks: &'a [Task],
    /// Of all tasks of the file, by their numbers.
    pub(super) places: &'a [Place],
    pub(super) names: &'a Names,
}

impl Located<'_> {
    fn place(&self, index: usize) -> Place {
        let number = self.tasks.get(index).map_or(1, |task| task.number);
        self.places.get(number.saturating_sub(1)).copied().unwrap_or(Place::START)
    }

    fn lines(&self, indices: &[usize]) -> String {
        let lines: Vec<usize> = indices.iter().map(|index| self.place(*index).line).collect();
        self.names.list(&lines)
    }

    /// Warnings about folders that do not exist. Where no earlier task could create one, it is a mistake,
    /// unless the tasks may run on another machine.
    pub(super) fn folders(&self, is_here: bool) -> Result<Vec<String>, Vec<Mistake>> {
        let mut may_be_made = self.plan.options.hooks.before_task.is_some();
        let mut known: HashMap<&str, Option<&'static str>> = HashMap::new();
        let mut missing: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        let mut mistakes = Vec::new();
        for (index, task) in self.plan.tasks.iter().enumerate() {
            let problem = task.execute.cwd.as_deref().and_then(|folder| {
                let problem = *known.entry(folder).or_insert_with(|| problem_of(folder));
                problem.map(|problem| (folder, problem))
            });
            let Some((folder, problem)) = problem else {
                may_be_made = true;
                continue;
            };
            if may_be_made || !is_here {
                missing.entry((folder, problem)).or_default().push(index);
            } else {
                let what = format!("the folder {folder} {problem}");
                mistakes.push(Mistake { place: self.place(index), what });
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let warning = |((folder, problem), indices): (&(&str, &str), &Vec<usize>)| {
            let lines = self.lines(indices);
            let hope = if is_here { "; a task before it would have to make it" } else { " here" };
            format!("{}, {lines}: the folder {folder} {problem}{hope}", self.names.file())
        };
        Ok(missing.iter().map(warning).collect())
    }

    /// A warning for each folder in which two tasks may run at the same time.
    pub(super) fn shared_folders(&self) -> Vec<String> {
        if self.plan.options.jobs < 2 {
            return Vec::new();
        }
        let mut folders: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for (index, task) in self.plan.tasks.iter().enumerate() {
            let folder = task.execute.cwd.as_deref();
            if !folder.is_some_and(|folder| folder.contains("{{")) {
                folders.entry(folder).or_default().push(index);
            }
        }
        folders
            .into_iter()
            .filter(|(_, indices)| self.may_run_side_by_side(indices))
            .map(|(folder, indices)| {
                let folder = folder.unwrap_or("the supervisor's own");
                format!(
                    "{}, {}: tasks may run side by side in one folder ({folder}), and each sees what the others \
                     change: give each a cwd of its own, such as a git worktree, or an order by needs",
                    self.names.file(),
                    self.lines(&indices)
                )
            })
            .collect()
    }

    fn may_run_side_by_side(&self, indices: &[usize]) -> bool {
        let compared = indices.iter().copied().take(COMPARED_LIMIT);
        let mut earlier: Vec<(usize, HashSet<usize>)> = Vec::new();
        for index in compared {
            let needed = self.needed(index);
            let is_free = |(other, needed_by_other): &(usize, HashSet<usize>)| {
                !needed.contains(other)
                    && !needed_by_other.contains(&index)
                    && self.both_have_room(index, *other)
            };
            if earlier.iter().any(is_free) {
                return true;
            }
            earlier.push((index, needed));
        }
        false
    }

    /// The tasks that must end before it starts.
    fn needed(&self, index: usize) -> HashSet<usize> {
        let mut needed = HashSet::new();
        let mut open = vec![index];
        while let Some(next) = open.pop() {
            let needs = self.plan.needs().get(next).map_or(&[][..], Vec::as_slice);
            open.extend(needs.iter().map(|need| need.task).filter(|task| needed.insert(*task)));
        }
        needed
    }

    fn both_have_room(&self, one: usize, other: usize) -> bool {
        let is_prompt = |index: usize| {
            let task: Option<&PlanTask> = self.plan.tasks.get(index);
            task.is_some_and(|task| matches!(task.execute.program, Program::Prompt(_)))
        };
        self.plan.options.claude_jobs > 1 || !(is_prompt(one) && is_prompt(other))
    }
}

/// What is wrong with a folder; one with a reference is only known later.
fn problem_of(folder: &str) -> Option<&'static str> {
    let path = Path::new(folder);
    if folder.contains("{{") || path.is_relative() || path.is_dir() {
        return None;
    }
    // A folder that this user cannot see may still exist for the supervisor.
    match path.try_exists() {
        Ok(true) => Some("is no folder"),
        Ok(false) => Some("does not exist"),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with<T>(plan: Value, look: impl FnOnce(&Located<'_>) -> T) -> T {
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let tasks: Vec<Task> =
            plan.tasks.iter().zip(1..).map(|(task, number)| Task::of_plan(task, number)).collect();
        let places: Vec<Place> = (1..=tasks.len()).map(|line| Place { line, column: 1 }).collect();
        let names = Names::of_file("t");
        look(&Located { plan: &plan, tasks: &tasks, places: &places, names: &names })
    }

    #[test]
    fn a_folder_that_nothing_could_have_made_is_a_mistake_and_another_one_a_warning() {
        let gone = "/no/such/folder";
        let folders = |tasks: Value, is_here: bool| {
            with(json!({ "tasks": tasks }), |located| located.folders(is_here))
        };
        let mistakes = folders(json!([{"prompt": "a", "cwd": gone}, {"command": "b"}]), true);
        let mistakes = mistakes.unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].what, "the folder /no/such/folder does not exist");
        let later = json!([{"command": "mkdir x", "cwd": "/"}, {"prompt": "a", "cwd": gone}]);
        let warnings = folders(later, true).unwrap();
        assert_eq!(
            warnings,
            [
                "t, line 2: the folder /no/such/folder does not exist; a task before it would have to make it"
            ]
        );
        assert_eq!(folders(json!([{"prompt": "a", "cwd": gone}]), false).unwrap().len(), 1);
        let file = json!([{"prompt": "a", "cwd": "/etc/passwd"}]);
        assert!(folders(file, true).unwrap_err()[0].what.ends_with("is no folder"));
        let fine = json!([{"name": "a", "prompt": "a", "cwd": "/"}, {"prompt": "b", "cwd": "{{tasks.a.result}}"}]);
        assert_eq!(folders(fine, true).unwrap(), [""; 0]);
        let hook = json!({"options": {"hooks": {"before_task": {"command": "x"}}}, "tasks": [{"prompt": "a", "cwd": gone}]});
        assert_eq!(with(hook, |located| located.folders(true)).unwrap().len(), 1);
    }

    #[test]
    fn a_folder_is_shared_only_by_tasks_that_can_run_at_the_same_time() {
        let shared = |jobs: u32, claude_jobs: u32, tasks: Value| {
            let options = json!({"jobs": jobs, "claude_jobs": claude_jobs});
            with(json!({"options": options, "tasks": tasks}), |located| {
                located.shared_folders().len()
            })
        };
        let prompts = json!([{"prompt": "a", "cwd": "/x"}, {"prompt": "b", "cwd": "/x"}]);
        assert_eq!(shared(2, 2, prompts.clone()), 1);
        assert_eq!(shared(1, 2, prompts.clone()), 0);
        assert_eq!(shared(2, 1, prompts), 0, "one agent after another");
        let mixed = json!([{"prompt": "a", "cwd": "/x"}, {"command": "b", "cwd": "/x"}]);
        assert_eq!(shared(2, 1, mixed), 1);
        let apart = json!([{"prompt": "a", "cwd": "/x"}, {"prompt": "b", "cwd": "/y"}]);
        assert_eq!(shared(2, 2, apart), 0);
        let chain = json!([
            {"name": "a", "prompt": "a", "cwd": "/x"},
            {"name": "b", "prompt": "b", "needs": ["a"], "cwd": "/y"},
            {"prompt": "c", "needs": ["b"], "cwd": "/x"},
        ]);
        assert_eq!(shared(2, 2, chain), 0);
    }
}
