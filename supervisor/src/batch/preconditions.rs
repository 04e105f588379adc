//! The preconditions of a start, and whether they have ever held: the agent's program exists, the folder that all tasks
//! have in common exists.
//!
//! An update removes such a thing for seconds. A start that fails meanwhile says nothing about the task; but where the
//! thing never existed, the plan is wrong. They are checked when a batch begins or is restored, and hold for whatever a
//! task was started with.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use cc_batch::Plan;
use cc_events::SpawnFailureKind;
use cc_protocol::execute::{Execute, Program};

#[derive(Debug, Default)]
pub(super) struct Preconditions {
    /// The agent's program existed.
    agent: bool,
    /// The common folder of all tasks, if it existed.
    folder: Option<String>,
    /// Programs of other tasks that have been started.
    programs: BTreeSet<String>,
}

impl Preconditions {
    /// Checks them. `agent` is the program of prompts; `path` is the search path for programs without a slash.
    #[must_use]
    pub(super) fn check(plan: &Plan, agent: Option<&str>, path: Option<&str>) -> Self {
        let mut folders = plan.tasks.iter().map(|task| task.execute.cwd.as_deref());
        let first = folders.next().flatten();
        let is_common = folders.all(|folder| folder == first);
        let folder = first.filter(|folder| is_common && Path::new(folder).is_dir());
        Self {
            agent: agent.is_some_and(|agent| find(agent, path, first).is_some()),
            folder: folder.map(str::to_owned),
            programs: BTreeSet::new(),
        }
    }

    pub(super) fn has_started(&mut self, task: &Execute) {
        match &task.program {
            Program::Prompt(_) => self.agent = true,
            Program::Argv { argv } => {
                if let Some(program) =
                    argv.first().filter(|program| !self.programs.contains(*program))
                {
                    self.programs.insert(program.clone());
                }
            }
            Program::Command { .. } => {}
        }
    }

    /// Whether what a start lacked existed before, so that it may come back.
    #[must_use]
    pub(super) fn existed(&self, task: &Execute, lacking: SpawnFailureKind) -> bool {
        match lacking {
            SpawnFailureKind::Means => true,
            SpawnFailureKind::Folder => self.folder.is_some() && self.folder == task.cwd,
            SpawnFailureKind::Program => match &task.program {
                Program::Prompt(_) => self.agent,
                Program::Argv { argv } => {
                    argv.first().is_some_and(|program| self.programs.contains(program))
                }
                Program::Command { .. } => false,
            },
        }
    }
}

/// Where a program is, as execvp(3) looks for it.
fn find(program: &str, path: Option<&str>, cwd: Option<&str>) -> Option<PathBuf> {
    let is_file = |file: &PathBuf| file.is_file();
    if program.contains('/') {
        let base = cwd.map(PathBuf::from).unwrap_or_default();
        return Some(base.join(program)).filter(is_file);
    }
    path?.split(':').map(|folder| Path::new(folder).join(program)).find(is_file)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(tasks: &serde_json::Value) -> Plan {
        serde_json::from_value(json!({ "tasks": tasks })).unwrap()
    }

    #[test]
    fn an_agent_that_was_there_may_come_back_and_one_that_never_was_may_not() {
        let prompt = plan(&json!([{"prompt": "x"}]));
        let task = &prompt.tasks[0].execute;
        let existed = |agent: Option<&str>| {
            Preconditions::check(&prompt, agent, Some("/nowhere:/bin:/usr/bin"))
                .existed(task, SpawnFailureKind::Program)
        };
        assert!(existed(Some("/bin/sh")));
        assert!(existed(Some("sh")));
        assert!(!existed(Some("/bin/no-such-agent")));
        assert!(!existed(Some("no-such-agent")));
        assert!(!existed(None));
        let mut preconditions = Preconditions::check(&prompt, Some("/bin/no-such-agent"), None);
        preconditions.has_started(task);
        assert!(preconditions.existed(task, SpawnFailureKind::Program));
    }

    #[test]
    fn another_program_may_come_back_if_a_task_has_run_it() {
        let plan = plan(&json!([{"argv": ["sh", "-c", "x"]}, {"argv": ["make"]}]));
        let (sh, make) = (&plan.tasks[0].execute, &plan.tasks[1].execute);
        let mut preconditions = Preconditions::check(&plan, None, None);
        assert!(!preconditions.existed(sh, SpawnFailureKind::Program));
        preconditions.has_started(sh);
        assert!(preconditions.existed(sh, SpawnFailureKind::Program));
        assert!(!preconditions.existed(make, SpawnFailureKind::Program));
        assert!(preconditions.existed(make, SpawnFailureKind::Means));
    }

    #[test]
    fn only_the_folder_of_all_tasks_may_come_back() {
        let existed = |tasks: serde_json::Value| {
            let plan = plan(&tasks);
            let preconditions = Preconditions::check(&plan, None, None);
            let task = plan.tasks.last().unwrap();
            preconditions.existed(&task.execute, SpawnFailureKind::Folder)
        };
        assert!(existed(json!([{"prompt": "x", "cwd": "/tmp"}, {"prompt": "y", "cwd": "/tmp"}])));
        assert!(!existed(json!([{"prompt": "x", "cwd": "/"}, {"prompt": "y", "cwd": "/tmp"}])));
        assert!(!existed(json!([{"prompt": "x", "cwd": "/no/such/folder"}])));
    }
}
