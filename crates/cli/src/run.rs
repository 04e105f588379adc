//! `ccx run`: one task, as if it had been started here.

use std::{env, io::Read as _, path::Path, time::Duration};

use cc_protocol::{
    EndReason, Verdict,
    execute::{Execute, Program, Prompt},
    notification::ProcessCompleted,
};

use crate::{
    advice, agent,
    args::{AgentOption, RunArguments, ServerOptions, TaskOptions},
    exit_code,
    failure::Failure,
    follow::{self, Audience as _, CancelCause, End, NoEnd},
    interrupts::Interrupts,
    private_supervisor::Urgency,
    run_output::{Mode, RunOutput},
    server::Server,
    text,
};

/// Longest prompt that is read from stdin; servers take less than 16 MiB by default.
const PROMPT_BYTES_LIMIT: u64 = 64 * 1024 * 1024;
/// What a shell reports for a program that was ended by a broken pipe (SIGPIPE is 13).
const BROKEN_PIPE: i32 = 13;

/// Runs the command to its exit code.
pub(crate) async fn run(server: ServerOptions, arguments: RunArguments) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::catch()?;
    let task = task(&server, &arguments)?;
    let is_prompt = arguments.prompt.is_some();
    let private_arguments = private_arguments(&server, &arguments.agent, is_prompt)?;
    let mode = match (arguments.json, is_prompt) {
        (true, _) => Mode::Json,
        (false, true) => Mode::Agent,
        (false, false) => Mode::Output,
    };
    let mut output = RunOutput::new(mode);
    let mut server = Server::open(&server, &private_arguments, &mut interrupts).await?;
    let end = follow::run(&mut server.connection, &task, &mut interrupts, &mut output, drop).await;
    let (code, urgency) = match end {
        Ok(end) => (conclude(&end, mode, is_prompt, &mut output), Urgency::Polite),
        Err(NoEnd::GivenUp(interrupt)) => (interrupt.exit_code(), Urgency::AtOnce),
        Err(NoEnd::Client(error)) => {
            output.note(&format!("ccx: {error}"));
            let code = error.error_object().map_or(exit_code::OWN_FAILURE, exit_code::of_refusal);
            (code, Urgency::Polite)
        }
    };
    if urgency == Urgency::Polite {
        tokio::select! {
            biased;
            // Whoever interrupts now waits for the last words, not for the task.
            _ = interrupts.next() => {}
            _ = output.write() => {}
        }
    }
    server.close(urgency).await?;
    Ok(code)
}

/// Says how the task ended, and chooses the exit code.
fn conclude(end: &End, mode: Mode, is_prompt: bool, output: &mut RunOutput) -> u8 {
    let completed = &end.completed;
    match end.cancel_cause {
        Some(CancelCause::Interrupt(interrupt)) => {
            output.note(&format!("ccx: {}", how_it_ended(completed)));
            return interrupt.exit_code();
        }
        Some(CancelCause::NobodyReads) => return nobody_reads(output),
        None => {}
    }
    if mode == Mode::Agent {
        if let Some(result) = &end.result {
            let answer = result.result.as_deref().unwrap_or_default();
            if result.is_error {
                output.note(&format!("claude: {}", answer.trim_end()));
            } else {
                output.print(&format!("{}\n", answer.trim_end_matches('\n')));
            }
            if result.result_truncated {
                output.note("ccx: the answer is cut at 256 KiB; --json prints the whole of it");
            }
        }
        if completed.verdict != Verdict::Succeeded {
            output.note(&verdict_line(completed));
        }
    } else if completed.reason != EndReason::Exit {
        output.note(&format!("ccx: {}", how_it_ended(completed)));
    }
    exit_code::of_task(completed, is_prompt)
}

fn nobody_reads(output: &mut RunOutput) -> u8 {
    let problem = output
        .stdout_error()
        .filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
        .map(ToString::to_string);
    match problem {
        // As with `| head`: that is no failure, and nothing to talk about.
        None => exit_code::of_signal(BROKEN_PIPE),
        Some(problem) => {
            output.note(&format!("ccx: cannot write to standard output: {problem}"));
            exit_code::OWN_FAILURE
        }
    }
}

/// `the task ended by timeout after 2.0 s: …`.
fn how_it_ended(completed: &ProcessCompleted) -> String {
    let signal = completed.signal.map(|signal| format!(" {signal}")).unwrap_or_default();
    let cause = match completed.reason {
        EndReason::Exit => "its exit".to_owned(),
        EndReason::Signal => format!("signal{signal}"),
        EndReason::Canceled => "cancellation".to_owned(),
        EndReason::Timeout => "timeout".to_owned(),
        EndReason::IdleTimeout => "silence timeout".to_owned(),
        EndReason::Lingered => "a kill, as it did not exit after its result,".to_owned(),
        EndReason::OutputLimit => "the output limit".to_owned(),
        EndReason::SpawnFailed => "a failure to start".to_owned(),
        EndReason::WorkerDied => "the death of its worker".to_owned(),
        EndReason::SupervisorLost => "the end of the supervisor".to_owned(),
        EndReason::ResourceLimit => "a lack of resources".to_owned(),
        EndReason::Disconnected => "the loss of the connection".to_owned(),
    };
    let after = text::duration(Duration::from_millis(completed.duration_ms));
    let error = completed.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("the task ended by {cause} after {after}{error}")
}

/// The verdict of an agent's task and what to do about it.
fn verdict_line(completed: &ProcessCompleted) -> String {
    let advice = match completed.verdict {
        Verdict::Succeeded => "",
        Verdict::Failed => "the answer above says why",
        Verdict::NoResult => "the agent ended without a result; --json shows all that it printed",
        Verdict::Auth => &advice::on_refused_credentials(),
        Verdict::RateLimited => "the API's limit is reached; try again later",
        Verdict::TimedOut => "allow more time with --timeout or --idle-timeout",
        Verdict::Canceled => "somebody else ended it",
        Verdict::OutputLimit => "it printed more than the server allows",
        Verdict::SpawnFailed => "the agent could not be started",
        Verdict::WorkerDied => "its worker died; try again",
        Verdict::ResourceLimit => "the machine ran out of something",
    };
    let cause = match completed.reason {
        EndReason::Exit => format!("exit code {}", completed.exit_code),
        EndReason::Signal
        | EndReason::Canceled
        | EndReason::Timeout
        | EndReason::IdleTimeout
        | EndReason::Lingered
        | EndReason::OutputLimit
        | EndReason::SpawnFailed
        | EndReason::WorkerDied
        | EndReason::SupervisorLost
        | EndReason::ResourceLimit
        | EndReason::Disconnected => how_it_ended(completed),
    };
    format!("ccx: {}: {advice} ({cause})", completed.verdict.as_str())
}

fn task(server: &ServerOptions, arguments: &RunArguments) -> Result<Execute, Failure> {
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
            return Err(Failure::usage(
                "--model, --allowed-tools and --permission-mode go only with --prompt",
            ));
        }
        None => Program::Argv { argv: arguments.argv.clone() },
    };
    Ok(Execute {
        program,
        timeout: options.timeout,
        idle_timeout: options.idle_timeout,
        cwd: working_directory(server, options)?,
        env: options.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        label: arguments.label.clone(),
        ..Execute::default()
    })
}

fn read_prompt(argument: &str) -> Result<String, Failure> {
    let prompt = if argument == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(PROMPT_BYTES_LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| Failure::own(format!("cannot read the prompt from stdin: {error}")))?;
        text
    } else {
        argument.to_owned()
    };
    if prompt.trim().is_empty() {
        return Err(Failure::usage("the prompt is empty"));
    }
    Ok(prompt)
}

/// The absolute working directory to ask for. A running supervisor has its own default; a private
/// one shares ours, and says so in its log.
pub(crate) fn working_directory(
    server: &ServerOptions,
    options: &TaskOptions,
) -> Result<Option<String>, Failure> {
    match (&options.cwd, &server.url) {
        (Some(folder), _) => absolute(folder).map(Some),
        (None, Some(_)) => Ok(None),
        (None, None) => match env::current_dir() {
            Ok(folder) => absolute(&folder).map(Some),
            Err(error) => Err(Failure::own(format!("the current directory is gone: {error}"))),
        },
    }
}

/// A path as the server needs it: absolute, and text.
pub(crate) fn absolute(path: &Path) -> Result<String, Failure> {
    let refused = |what: &str| Failure::usage(format!("the folder {}: {what}", path.display()));
    let path = std::path::absolute(path).map_err(|error| refused(&error.to_string()))?;
    path.to_str().map(str::to_owned).ok_or_else(|| refused("its name is no UTF-8"))
}

/// What a private supervisor is told beyond the usual.
pub(crate) fn private_arguments(
    server: &ServerOptions,
    option: &AgentOption,
    is_agent_needed: bool,
) -> Result<Vec<String>, Failure> {
    match (&server.url, &option.agent) {
        (Some(_), Some(_)) => Err(Failure::usage(
            "--agent is the server's setting (cc-supervisor --agent); leave it away with --url (CC_EXECUTOR_URL)",
        )),
        (Some(_), None) => Ok(Vec::new()),
        (None, _) if !is_agent_needed => Ok(Vec::new()),
        (None, agent) => Ok(vec!["--agent".to_owned(), agent::resolve(agent.as_deref())?]),
    }
}
