//! The plan that is submitted, made of a task file and the command line.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use cc_batch::{Plan, limits::NAME_CHARS_LIMIT};
use cc_protocol::execute::Program;
use serde_json::{Map, Value, json};

use super::caution::Located;
use crate::{
    args::{BatchArguments, PlanOptions, ServerOptions, TaskOptions},
    display::task::Task,
    error::CommandError,
    input::{
        self, CommandLine, NamedFile,
        directory::{absolute, working_directory},
    },
    reports::{Past, Ticks, Which, commands, resume::results},
};

/// What will run, and what is known of the rest of the file.
#[derive(Debug, Default)]
pub(super) struct Submission {
    /// `None` if nothing is left to run.
    pub(super) plan: Option<Plan>,
    /// The tasks of the plan, with their numbers in the file.
    pub(super) tasks: Vec<Task>,
    /// Tasks that have not succeeded and will not run either.
    pub(super) left_out: Vec<Task>,
    pub(super) past: Option<Past>,
    /// Tasks of the file that will not run, and the like.
    pub(super) notes: Vec<String>,
    /// What may go wrong.
    pub(super) warnings: Vec<String>,
}

impl Submission {
    /// Reads only the joblog that is resumed and the results of its runs, and checks that the folders of tasks exist.
    pub(super) fn make(
        options: &ServerOptions,
        arguments: &BatchArguments,
        file: NamedFile,
        resume: Option<(&Path, Which)>,
        results: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let NamedFile { names, mut file } = file;
        let mut notes = file.notes(&names, arguments.view.quiet && !arguments.dry_run);
        if let Some((joblog, _)) = resume {
            file.reopen(&commands(joblog));
        }
        let others = file.done();
        let mut command_line = of_plan_options(&arguments.plan)?;
        let path = |field: &str| format!("options.defaults.{field}");
        for (field, value) in of_task_options(&arguments.task)? {
            command_line.push((path(&field), value));
        }
        let folder = working_directory(options, &arguments.task)?;
        let judged = file.plan(command_line, adapt);
        // The notes say why there are fewer tasks than a reader sees in the file.
        let judged = judged.map_err(|mistakes| input::complaint(&names, &mistakes, &notes))?;
        let plan = complete(judged.plan, folder.as_deref(), names.file());
        let tasks: Vec<Task> =
            plan.tasks.iter().zip(1..).map(|(task, number)| Task::of_plan(task, number)).collect();
        let mut submission = match resume {
            None => Self { plan: Some(plan), tasks, ..Self::default() },
            Some((joblog, which)) => {
                let ticked = judged.done.iter().zip(1..).filter(|(is_done, _)| **is_done);
                let among_tasks = ticked.map(|(_, number)| number).collect();
                let past = Past::read(joblog, &tasks, Ticks { among_tasks, others })?;
                Self::of_rest(&plan, tasks, past, which, results)?
            }
        };
        if let Some(plan) = &submission.plan {
            let located =
                Located { plan, tasks: &submission.tasks, places: &judged.places, names: &names };
            // With a running supervisor the tasks may run on another machine.
            let folders = located.folders(options.url.is_none() && !arguments.detach);
            let folders = folders.map_err(|mistakes| input::complaint(&names, &mistakes, &[]))?;
            submission.warnings.extend(folders);
            submission.warnings.extend(located.shared_folders());
        }
        notes.append(&mut submission.notes);
        submission.notes = notes;
        Ok(submission)
    }

    /// The tasks that a joblog leaves to run.
    fn of_rest(
        plan: &Plan,
        all: Vec<Task>,
        past: Past,
        which: Which,
        results: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let (tasks, left_out) = past.select(all.clone(), which);
        let plan = part(plan, &all, &tasks, results, past.is_by_command())?;
        let ticked = past.ticked_failures(&left_out);
        let notes = ticked.into_iter().map(|task| {
            format!(
                "task {} ({}) is done by the task file, and failed by the joblog: it is not run; take its mark \
                 away to run it again",
                task.number, task.title
            )
        });
        let notes = notes.collect();
        Ok(Self { plan, tasks, left_out, notes, past: Some(past), ..Self::default() })
    }

    /// Whether a task has a prompt.
    pub(super) fn is_agent_needed(&self) -> bool {
        let tasks = self.plan.iter().flat_map(|plan| &plan.tasks);
        tasks.into_iter().any(|task| matches!(task.execute.program, Program::Prompt(_)))
    }
}

/// Makes `cwd` absolute: it is relative to the current directory, as in a shell.
fn adapt(members: &mut Map<String, Value>) {
    if let Some(Value::String(folder)) = members.get_mut("cwd")
        // A reference is filled in later.
        && !folder.starts_with("{{")
        && let Ok(whole) = absolute(folder.as_ref())
    {
        *folder = whole;
    }
}

/// Adds the name of the batch and the default folder.
fn complete(mut plan: Plan, folder: Option<&str>, file_name: &str) -> Plan {
    if plan.name.is_none() {
        plan.name = Some(as_name(file_name));
    }
    for task in &mut plan.tasks {
        if task.execute.cwd.is_none() {
            task.execute.cwd = folder.map(str::to_owned);
        }
    }
    plan
}

/// The file's name without its folder, with other characters than a name may have replaced.
fn as_name(file_name: &str) -> String {
    let name = Path::new(file_name).file_name().and_then(|name| name.to_str()).unwrap_or(file_name);
    let allowed = |letter: char| {
        if letter.is_ascii_alphanumeric() || "_.-".contains(letter) { letter } else { '_' }
    };
    name.chars().map(allowed).take(NAME_CHARS_LIMIT).collect()
}

/// The tasks of a plan that will run, as a plan; `None` if there are none. Results of other tasks that they use are taken
/// from the results of earlier runs.
fn part(
    plan: &Plan,
    all: &[Task],
    to_run: &[Task],
    results: Option<&Path>,
    is_by_command: bool,
) -> Result<Option<Plan>, CommandError> {
    if to_run.is_empty() {
        return Ok(None);
    }
    let running: HashSet<usize> = to_run.iter().map(|task| task.number - 1).collect();
    let used = |index: usize| {
        let needs = plan.needs().get(index).map_or(&[][..], Vec::as_slice);
        let used = needs.iter().filter(|need| need.result && !running.contains(&need.task));
        used.map(move |need| (index, need.task))
    };
    let uses: Vec<(usize, usize)> = running.iter().copied().flat_map(used).collect();
    let wanted: Vec<&Task> = uses.iter().filter_map(|(_, used)| all.get(*used)).collect();
    let found = match results {
        Some(path) if !wanted.is_empty() => results::results(path, &wanted, is_by_command)?,
        Some(_) | None => HashMap::new(),
    };
    let missing = uses.iter().filter(|(_, used)| !found.contains_key(&(used + 1))).min();
    if let Some(&(user, used)) = missing {
        return Err(CommandError::usage(no_result(user + 1, used + 1, results)));
    }
    let result_of = |index: usize| found.get(&(index + 1)).map(String::as_str);
    let rest = plan.rest(|index| running.contains(&index), result_of);
    let mut rest =
        rest.map_err(|error| CommandError::failed(format!("cannot be resumed: {error}")))?;
    rest.idempotency_key.clone_from(&plan.idempotency_key);
    Ok(Some(rest))
}

/// What to do where a joblog alone is not enough.
fn no_result(user: usize, used: usize, results: Option<&Path>) -> String {
    let why = match results {
        Some(path) => format!("{} has no whole result of it", path.display()),
        None => "a joblog has no results: name the file that the earlier run wrote with --results"
            .to_owned(),
    };
    format!(
        "task {user} uses the result of task {used}, which succeeded or is not to run, and {why}; \
         or resume by the id of the batch (ccx batch --resume ID), or run the whole file with another joblog"
    )
}

fn to_json_value(value: &impl serde::Serialize) -> Result<Value, CommandError> {
    serde_json::to_value(value).map_err(|error| {
        CommandError::failed(format!("the plan cannot be written as JSON: {error}"))
    })
}

/// Each value with its path in a plan.
fn of_plan_options(own: &PlanOptions) -> Result<CommandLine, CommandError> {
    let hook =
        |command: &Option<String>| command.as_ref().map(|command| json!({ "command": command }));
    let halt = match own.halt {
        Some(halt) => Some(Value::from(halt.to_string())),
        None if own.keep_going => Some(Value::from("never")),
        None if own.fail_fast => Some(Value::from("soon,fail=1")),
        None => None,
    };
    let values = [
        ("name", own.name.clone().map(Value::from)),
        ("idempotency_key", own.idempotency_key.clone().map(Value::from)),
        ("options.jobs", own.jobs.map(Value::from)),
        ("options.claude_jobs", own.claude_jobs.map(Value::from)),
        ("options.halt", halt),
        ("options.max_cost_usd", own.max_cost.map(Value::from)),
        ("options.max_time_s", own.max_time.map(Value::from)),
        ("options.on_lost", own.on_lost.as_ref().map(to_json_value).transpose()?),
        ("options.auth", own.auth.as_ref().map(to_json_value).transpose()?),
        ("options.strict", own.strict.then(|| Value::from(true))),
        ("options.hooks.before_task", hook(&own.before_task)),
        ("options.hooks.after_task", hook(&own.after_task)),
        ("options.hooks.after_batch", hook(&own.after_batch)),
        ("options.defaults.retries", own.retries.map(Value::from)),
        ("options.defaults.timeout", own.timeout.as_ref().map(to_json_value).transpose()?),
    ];
    let values = values.into_iter();
    Ok(values.filter_map(|(path, value)| value.map(|value| (path.to_owned(), value))).collect())
}

/// The defaults of all tasks.
fn of_task_options(options: &TaskOptions) -> Result<Vec<(String, Value)>, CommandError> {
    let TaskOptions { cwd, idle_timeout, model, allowed_tools, permission_mode, env } = options;
    let variables = env.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
    let tools = (!allowed_tools.is_empty()).then(|| Value::from(allowed_tools.clone()));
    let values = [
        ("cwd", cwd.as_deref().map(absolute).transpose()?.map(Value::from)),
        ("idle_timeout", idle_timeout.map(Value::from)),
        ("model", model.clone().map(Value::from)),
        ("allowed_tools", tools),
        ("permission_mode", permission_mode.clone().map(Value::from)),
        ("env", (!env.is_empty()).then(|| Value::Object(variables.collect()))),
    ];
    let values = values.into_iter();
    Ok(values.filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect())
}
