//! `ccx run`: one task, as if it had been started here.

use std::io::Read as _;

use cc_client::{Error, Reconnect};
use cc_protocol::execute::{Execute, Program, Prompt};

use crate::{
    args::{RunArguments, ServerOptions},
    connect::{RunningSupervisor, Server, USUAL_URL, interrupts::Interrupts, private::Urgency},
    display::terminal,
    error::CommandError,
    exit_code,
    follow::{
        self, CancelCause, NoEnd, ending,
        output::{Mode, RunOutput},
    },
    input::{agent::private_arguments, directory::working_directory},
};

/// Longest prompt that is read from stdin; a supervisor takes less than 16 MiB by default.
const PROMPT_BYTES_LIMIT: u64 = 64 * 1024 * 1024;

/// Runs the command and returns its exit code.
pub(crate) async fn run(
    mut server: ServerOptions,
    arguments: RunArguments,
) -> Result<u8, CommandError> {
    if arguments.detach {
        // A private supervisor would end with this command, and its task with it.
        server.url.get_or_insert_with(|| USUAL_URL.to_owned());
    }
    let task = task(&server, &arguments)?;
    let is_prompt = arguments.prompt.is_some();
    let private_arguments = private_arguments(&server, &arguments.agent, is_prompt)?;
    if arguments.detach {
        return detach(&server, &task).await;
    }
    let mut interrupts = Interrupts::catch()?;
    let mode = match (arguments.json, is_prompt) {
        (true, _) => Mode::Json,
        (false, true) => Mode::Agent,
        (false, false) => Mode::Output,
    };
    let mut output = RunOutput::new(mode);
    let mut server =
        Server::open(&server, &private_arguments, Reconnect::default(), &mut interrupts).await?;
    let end = follow::run(&mut server.session, &task, &mut interrupts, &mut output).await;
    let (code, urgency) = match end {
        Ok(end) => (ending::conclude(&end, mode, is_prompt, &mut output), Urgency::Polite),
        Err(NoEnd::GivenUp(interrupt) | NoEnd::Detached(CancelCause::Interrupt(interrupt))) => {
            (interrupt.exit_code(), Urgency::AtOnce)
        }
        Err(
            NoEnd::Detached(CancelCause::OutputClosed) | NoEnd::PartComplete | NoEnd::Unreadable,
        ) => (ending::output_closed(&mut output), Urgency::Polite),
        Err(NoEnd::Client(error)) => {
            output.note(&format!("ccx: {error}"));
            let code = error.error_object().map_or(exit_code::OWN_FAILURE, exit_code::of_refusal);
            (code, Urgency::Polite)
        }
    };
    if urgency == Urgency::Polite {
        output.write_last_words(&mut interrupts).await;
    }
    server.close(urgency).await?;
    Ok(code)
}

/// Starts a task that belongs to no session, and prints its id.
async fn detach(server: &ServerOptions, task: &Execute) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(server)?.connect().await?;
    let started = match connection.execute(task).await {
        Ok(started) => started,
        Err(Error::Server(error)) => {
            return Err(CommandError::NotStarted(error));
        }
        Err(error @ Error::MessageTooLarge { .. }) => return Err(error.into()),
        Err(error) => {
            return Err(CommandError::failed(format!(
                "{error}; the task may have been started: see `ccx ps --all`"
            )));
        }
    };
    terminal::print(&format!("{}\n", started.task_id));
    connection.close().await;
    Ok(0)
}

fn task(server: &ServerOptions, arguments: &RunArguments) -> Result<Execute, CommandError> {
    let options = &arguments.task;
    let program = match &arguments.prompt {
        Some(prompt) => Program::Prompt(Box::new(Prompt {
            prompt: read_prompt(prompt)?,
            model: options.model.clone(),
            allowed_tools: options.allowed_tools.clone(),
            permission_mode: options.permission_mode.clone(),
            ..Prompt::default()
        })),
        None if options.model.is_some()
            || options.permission_mode.is_some()
            || !options.allowed_tools.is_empty() =>
        {
            return Err(CommandError::usage(
                "--model, --allowed-tools and --permission-mode go only with --prompt",
            ));
        }
        None => Program::Argv { argv: arguments.argv.clone() },
    };
    Ok(Execute {
        program,
        timeout: arguments.timeout,
        idle_timeout: options.idle_timeout,
        cwd: working_directory(server, options)?,
        env: options.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        label: arguments.label.clone(),
        detach: arguments.detach,
        ..Execute::default()
    })
}

fn read_prompt(argument: &str) -> Result<String, CommandError> {
    let prompt = if argument == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(PROMPT_BYTES_LIMIT)
            .read_to_string(&mut text)
            .map_err(CommandError::io("cannot read the prompt from stdin"))?;
        text
    } else {
        argument.to_owned()
    };
    if prompt.trim().is_empty() {
        return Err(CommandError::usage("the prompt is empty"));
    }
    Ok(prompt)
}
