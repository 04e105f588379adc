//! `ccx batch`: the tasks of a file, one after another on one session.

use std::{collections::BTreeSet, time::Duration};

use cc_protocol::execute::{Execute, Program, Prompt};

use crate::{
    args::{AgentOption, BatchArguments, ServerOptions, TaskOptions},
    conclusion::{self, Conclusion},
    dry_run, exit_code,
    failure::Failure,
    interrupts::Interrupts,
    leftovers,
    progress::Progress,
    report,
    reports::{AccountEnd, Entry, Past, Reports, Wanted, Which},
    run::{absolute, private_arguments, working_directory},
    sequence::{self, Row, SequenceEnd, Task},
    server::Server,
    task_file::{self, FileOptions, FileTask, TaskFile},
    text,
};

/// Runs the command to its exit code.
pub(crate) async fn run(options: ServerOptions, arguments: BatchArguments) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::catch()?;
    let file = task_file::read(&arguments.file, arguments.format)?;
    let wanted = arguments.reports.settle(&file.options)?;
    let plan = Plan::make(&options, &arguments, &wanted, file)?;
    if arguments.dry_run {
        let text = if arguments.json {
            dry_run::json(&plan.tasks)
        } else {
            dry_run::table(&plan.tasks, conclusion::columns())
        };
        conclusion::print(&text);
        return Ok(0);
    }
    let private_arguments = private_arguments(&options, &plan.agent, plan.is_agent_needed())?;
    let Plan { tasks, left_out, past, is_fail_fast, .. } = plan;
    let name = arguments.file.display().to_string();
    let done = past.as_ref().map(Past::done);
    let mut reports = Reports::open(&wanted, &name, &tasks, &left_out, past)?;
    if let Some(done) = done.filter(|_| !arguments.quiet) {
        let (done, to_run) = (text::count(done, "task"), tasks.len());
        conclusion::note(&format!("ccx: {done} succeeded before; {to_run} to run"));
    }
    let conclusion = if tasks.is_empty() {
        Conclusion::of_nothing()
    } else {
        leftovers::take_in_orphans();
        let mut server = match Server::open(&options, &private_arguments, &mut interrupts).await {
            Ok(server) => server,
            Err(failure) => {
                reports.finish(AccountEnd::before_the_start(&failure));
                return Err(failure);
            }
        };
        let mut progress = Progress::new(tasks.len(), arguments.quiet);
        let on_row = |task: &Task, row: &Row| {
            let entry = Entry::new(task, row);
            if arguments.json {
                conclusion::print(&format!("{}\n", entry.json()));
            }
            reports.record(entry, row);
        };
        let end = sequence::run(
            &mut server,
            &tasks,
            is_fail_fast,
            &mut interrupts,
            &mut progress,
            on_row,
        )
        .await;
        Conclusion::reach(server, &options, end).await
    };
    let are_reports_whole = reports.finish(AccountEnd::of(&conclusion));
    if arguments.json {
        let summary = report::summary_json(&conclusion, done.unwrap_or_default());
        conclusion::print(&format!("{summary}\n"));
    } else if tasks.is_empty() {
        conclusion::print("nothing to run\n");
    } else {
        conclusion.print(None);
    }
    let code = conclusion.end.exit_code(conclusion.is_something_left());
    Ok(match conclusion.checked(code) {
        0 if !are_reports_whole => exit_code::OWN_FAILURE,
        code => code,
    })
}

impl AccountEnd {
    fn of(conclusion: &Conclusion) -> Self {
        Self {
            elapsed: conclusion.end.elapsed,
            stopped: report::stopped(&conclusion.end),
            left_behind: conclusion.left_behind.as_ref().map(BTreeSet::len),
        }
    }

    fn before_the_start(failure: &Failure) -> Self {
        Self { elapsed: Duration::ZERO, stopped: Some(failure.to_string()), left_behind: Some(0) }
    }
}

/// What is to run, and how.
#[derive(Debug)]
struct Plan {
    tasks: Vec<Task>,
    /// What has not succeeded and is not to run either.
    left_out: Vec<Task>,
    past: Option<Past>,
    agent: AgentOption,
    is_fail_fast: bool,
}

impl Plan {
    fn make(
        options: &ServerOptions,
        arguments: &BatchArguments,
        wanted: &Wanted,
        file: TaskFile,
    ) -> Result<Self, Failure> {
        let TaskFile { tasks, defaults, options: of_file } = file;
        let defaults = Defaults {
            folder: working_directory(options, &arguments.task)?,
            of_command_line: of_command_line(&arguments.task)?,
            of_file: defaults,
        };
        let tasks = tasks.into_iter().zip(1..);
        let tasks: Vec<Task> = tasks
            .map(|(task, number)| defaults.complete(task).map(|execute| Task::new(number, execute)))
            .collect::<Result<_, _>>()?;
        let past = match &wanted.resume {
            Some((path, _)) => Some(Past::read(path, &tasks)?),
            None => None,
        };
        let which = wanted.resume.as_ref().map_or(Which::NotSucceeded, |(_, which)| *which);
        let (tasks, left_out) = match &past {
            Some(past) => past.select(tasks, which),
            None => (tasks, Vec::new()),
        };
        Ok(Self {
            tasks,
            left_out,
            past,
            agent: agent(options, &arguments.agent, &of_file)?,
            is_fail_fast: arguments.fail_fast || (of_file.is_fail_fast && !arguments.keep_going),
        })
    }

    fn is_agent_needed(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task.execute.program, Program::Prompt(_)))
    }
}

fn agent(
    options: &ServerOptions,
    own: &AgentOption,
    of_file: &FileOptions,
) -> Result<AgentOption, Failure> {
    match (&own.agent, &of_file.agent) {
        (Some(_), _) | (None, None) => Ok(own.clone()),
        (None, Some(_)) if options.url.is_some() => Err(Failure::usage(
            "the option agent of the task file is the server's setting (cc-supervisor --agent); take it out for use with --url (CC_EXECUTOR_URL)",
        )),
        (None, Some(agent)) => Ok(AgentOption { agent: Some(agent.clone()) }),
    }
}

/// What tasks have that do not say otherwise: the command line comes before the file.
#[derive(Debug)]
struct Defaults {
    of_command_line: Execute,
    of_file: Option<Execute>,
    folder: Option<String>,
}

impl Defaults {
    fn complete(&self, task: FileTask) -> Result<Execute, Failure> {
        let FileTask { place, mut execute } = task;
        fill(&mut execute, &self.of_command_line);
        if let Some(of_file) = &self.of_file {
            fill(&mut execute, of_file);
        }
        execute.cwd = match execute.cwd.as_deref() {
            // As the shell would: relative to where the command was typed.
            Some(own) => Some(
                absolute(own.as_ref())
                    .map_err(|failure| Failure::usage(format!("line {}: {failure}", place.line)))?,
            ),
            None => self.folder.clone(),
        };
        Ok(execute)
    }
}

fn of_command_line(options: &TaskOptions) -> Result<Execute, Failure> {
    let prompt = Prompt {
        model: options.model.clone(),
        permission_mode: options.permission_mode.clone(),
        allowed_tools: options.allowed_tools.clone(),
        ..Prompt::default()
    };
    Ok(Execute {
        program: Program::Prompt(Box::new(prompt)),
        timeout: options.timeout,
        idle_timeout: options.idle_timeout,
        cwd: options.cwd.as_deref().map(absolute).transpose()?,
        env: options.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        ..Execute::default()
    })
}

/// Takes from the defaults what a task does not say itself.
fn fill(execute: &mut Execute, defaults: &Execute) {
    execute.timeout = execute.timeout.or(defaults.timeout);
    execute.idle_timeout = execute.idle_timeout.or(defaults.idle_timeout);
    execute.max_output_bytes = execute.max_output_bytes.or(defaults.max_output_bytes);
    execute.max_line_bytes = execute.max_line_bytes.or(defaults.max_line_bytes);
    execute.cwd = execute.cwd.take().or_else(|| defaults.cwd.clone());
    for (name, value) in &defaults.env {
        execute.env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if let (Program::Prompt(prompt), Program::Prompt(defaults)) =
        (&mut execute.program, &defaults.program)
    {
        fill_prompt(prompt, defaults);
    }
}

fn fill_prompt(prompt: &mut Prompt, defaults: &Prompt) {
    let fill_text = |own: &mut Option<String>, default: &Option<String>| {
        if own.is_none() {
            own.clone_from(default);
        }
    };
    let fill_list = |own: &mut Vec<String>, default: &Vec<String>| {
        if own.is_empty() {
            own.clone_from(default);
        }
    };
    fill_text(&mut prompt.model, &defaults.model);
    fill_text(&mut prompt.permission_mode, &defaults.permission_mode);
    fill_text(&mut prompt.append_system_prompt, &defaults.append_system_prompt);
    fill_text(&mut prompt.resume_claude_session, &defaults.resume_claude_session);
    fill_list(&mut prompt.allowed_tools, &defaults.allowed_tools);
    fill_list(&mut prompt.extra_args, &defaults.extra_args);
    prompt.max_turns = prompt.max_turns.or(defaults.max_turns);
}

impl Conclusion {
    /// Of a batch that had nothing left to run.
    fn of_nothing() -> Self {
        let end = SequenceEnd {
            rows: Vec::new(),
            task_ids: Vec::new(),
            stopped: None,
            elapsed: Duration::ZERO,
        };
        Self { end, left_behind: Some(BTreeSet::new()), trouble: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_file::Place;

    fn prompt(model: Option<&str>) -> Program {
        let model = model.map(str::to_owned);
        Program::Prompt(Box::new(Prompt { prompt: "hi".to_owned(), model, ..Prompt::default() }))
    }

    fn env(pairs: &[(&str, Option<&str>)]) -> std::collections::BTreeMap<String, Option<String>> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn a_tasks_own_words_come_before_the_command_line_and_that_before_the_file() {
        let defaults = Defaults {
            of_command_line: of_command_line(&TaskOptions {
                timeout: Some(9.0),
                idle_timeout: Some(8.0),
                model: Some("line".to_owned()),
                env: vec![("A".to_owned(), "line".to_owned()), ("B".to_owned(), "line".to_owned())],
                ..TaskOptions::default()
            })
            .unwrap(),
            of_file: Some(Execute {
                program: Program::Prompt(Box::new(Prompt {
                    model: Some("file".to_owned()),
                    max_turns: Some(3),
                    ..Prompt::default()
                })),
                idle_timeout: Some(7.0),
                max_line_bytes: Some(6),
                env: env(&[("B", Some("file")), ("C", None)]),
                cwd: Some("/file".to_owned()),
                ..Execute::default()
            }),
            folder: Some("/here".to_owned()),
        };
        let execute = Execute {
            program: prompt(Some("own")),
            timeout: Some(1.0),
            env: env(&[("A", Some("own"))]),
            ..Execute::default()
        };
        let task = FileTask { place: Place::START, execute };
        let execute = defaults.complete(task).unwrap();
        assert_eq!((execute.timeout, execute.idle_timeout), (Some(1.0), Some(8.0)));
        assert_eq!((execute.max_line_bytes, execute.cwd.as_deref()), (Some(6), Some("/file")));
        assert_eq!(execute.env, env(&[("A", Some("own")), ("B", Some("line")), ("C", None)]));
        let Program::Prompt(prompt) = execute.program else { panic!("another program") };
        assert_eq!((prompt.model.as_deref(), prompt.max_turns), (Some("own"), Some(3)));
    }

    #[test]
    fn what_goes_with_prompts_does_no_harm_to_programs() {
        let program = Program::Argv { argv: vec!["ls".to_owned()] };
        let defaults = Execute { program: prompt(Some("file")), ..Execute::default() };
        let mut execute = Execute { program: program.clone(), ..Execute::default() };
        fill(&mut execute, &defaults);
        assert_eq!(execute.program, program);
    }

    #[test]
    fn a_tasks_folder_is_relative_to_where_the_command_was_typed() {
        let defaults = Defaults {
            of_command_line: Execute::default(),
            of_file: None,
            folder: Some("/here".to_owned()),
        };
        let complete = |cwd: Option<&str>| {
            let execute = Execute { cwd: cwd.map(str::to_owned), ..Execute::default() };
            defaults.complete(FileTask { place: Place::START, execute }).unwrap().cwd.unwrap()
        };
        assert_eq!(complete(None), "/here");
        assert_eq!(complete(Some("/own")), "/own");
        let current = std::env::current_dir().unwrap().join("own");
        assert_eq!(complete(Some("own")), current.to_str().unwrap());
    }
}
