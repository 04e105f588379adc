//! `ccx batch`: the tasks of a file, one after another on one session.

use cc_protocol::execute::Program;

use crate::{
    args::{BatchArguments, ServerOptions, TaskOptions},
    conclusion::{self, Conclusion},
    failure::Failure,
    interrupts::Interrupts,
    leftovers,
    progress::Progress,
    report,
    run::{absolute, private_arguments, working_directory},
    sequence::{self, Task},
    server::Server,
    task_file::{self, FileTask},
};

/// Runs the command to its exit code.
pub(crate) async fn run(options: ServerOptions, arguments: BatchArguments) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::catch()?;
    let folder = working_directory(&options, &arguments.task)?;
    let tasks: Vec<Task> = task_file::read(&arguments.file, arguments.format)?
        .into_iter()
        .map(|task| complete(task, folder.as_deref(), &arguments.task))
        .collect::<Result<_, _>>()?;
    let is_agent_needed =
        tasks.iter().any(|task| matches!(task.execute.program, Program::Prompt(_)));
    let private_arguments = private_arguments(&options, &arguments.agent, is_agent_needed)?;
    leftovers::take_in_orphans();
    let mut server = Server::open(&options, &private_arguments, &mut interrupts).await?;
    let mut progress = Progress::new(tasks.len(), arguments.quiet);
    let end = sequence::run(
        &mut server,
        &tasks,
        arguments.fail_fast,
        &mut interrupts,
        &mut progress,
        |index, row| {
            if arguments.json {
                conclusion::print(&format!("{}\n", report::row_json(index + 1, row)));
            }
        },
    )
    .await;
    let conclusion = Conclusion::reach(server, &options, end).await;
    if arguments.json {
        conclusion::print(&format!("{}\n", report::summary_json(&conclusion)));
    } else {
        conclusion.print(None);
    }
    let code = conclusion.end.exit_code(conclusion.is_something_left());
    Ok(conclusion.checked(code))
}

/// A file's task with the command line's defaults where it says nothing itself.
fn complete(task: FileTask, folder: Option<&str>, defaults: &TaskOptions) -> Result<Task, Failure> {
    let FileTask { line, mut execute } = task;
    execute.timeout = execute.timeout.or(defaults.timeout);
    execute.idle_timeout = execute.idle_timeout.or(defaults.idle_timeout);
    execute.cwd = match execute.cwd.as_deref() {
        // As the shell would: relative to where the command was typed.
        Some(own) => Some(
            absolute(own.as_ref())
                .map_err(|failure| Failure::usage(format!("line {line}: {failure}")))?,
        ),
        None => folder.map(str::to_owned),
    };
    for (name, value) in &defaults.env {
        execute.env.entry(name.clone()).or_insert_with(|| Some(value.clone()));
    }
    if let Program::Prompt(prompt) = &mut execute.program {
        prompt.model = prompt.model.take().or_else(|| defaults.model.clone());
        prompt.permission_mode =
            prompt.permission_mode.take().or_else(|| defaults.permission_mode.clone());
        if prompt.allowed_tools.is_empty() {
            prompt.allowed_tools.clone_from(&defaults.allowed_tools);
        }
    }
    Ok(Task::new(execute))
}

#[cfg(test)]
mod tests {
    use cc_protocol::execute::{Execute, Prompt};

    use super::*;

    #[test]
    fn a_task_keeps_what_it_says_and_takes_the_rest_from_the_command_line() {
        let prompt =
            Prompt { prompt: "hi".to_owned(), model: Some("own".to_owned()), ..Prompt::default() };
        let execute = Execute {
            program: Program::Prompt(Box::new(prompt)),
            timeout: Some(1.0),
            env: [("A".to_owned(), Some("own".to_owned()))].into(),
            ..Execute::default()
        };
        let defaults = TaskOptions {
            timeout: Some(9.0),
            idle_timeout: Some(8.0),
            model: Some("other".to_owned()),
            allowed_tools: vec!["Read".to_owned()],
            env: vec![("A".to_owned(), "other".to_owned()), ("B".to_owned(), "b".to_owned())],
            ..TaskOptions::default()
        };
        let task = complete(FileTask { line: 1, execute }, Some("/folder"), &defaults).unwrap();
        assert_eq!((task.execute.timeout, task.execute.idle_timeout), (Some(1.0), Some(8.0)));
        assert_eq!(task.execute.cwd.as_deref(), Some("/folder"));
        assert_eq!(task.execute.env["A"].as_deref(), Some("own"));
        assert_eq!(task.execute.env["B"].as_deref(), Some("b"));
        let Program::Prompt(prompt) = task.execute.program else { panic!("another program") };
        assert_eq!(prompt.model.as_deref(), Some("own"));
        assert_eq!(prompt.allowed_tools, ["Read"]);
    }
}
