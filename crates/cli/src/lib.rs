//! `ccx`: the command line of cc-supervisor, for one task or a batch of tasks.
//!
//! The modules stand in reading order, from the commands down to the words that all of them use. Each imports only
//! from modules below it in this list.
//!
//! `ccx` never starts a task itself: tasks are children of workers, which are children of the supervisor. Nothing that
//! it starts outlives it: a private supervisor stops when `ccx` is gone, however that happened; a detached task belongs
//! to the supervisor of `--url`. It needs no running daemon to run a task, and keeps no state.
#![warn(unreachable_pub)]

/// What each command does, one file or folder a command.
mod command;
/// The agent of `ccx demo`, which supervisors start for `--agent stand-in`.
mod stand_in_agent;

/// The files that a batch leaves: joblog, results, JUnit and Markdown, and resuming from them.
mod reports;
/// Follows one task to its end: its output, its end, its exit code.
mod follow;
/// Reads what is to run: task files of every format, folders of prompts, the agent's program.
mod input;
/// Reaches a supervisor: a running one, or a private one for the duration of a command.
mod connect;
/// What people see: tables, progress and summaries.
mod display;

/// The command line, as `--help` shows it.
mod args;
/// Exit codes of tasks, batches and errors.
mod exit_code;
/// The error that ends a command.
mod error;

#[cfg(test)]
mod fixtures;

/// What the targets in `fuzz/` call. No other build has it.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::input::fuzz_task_file;
}

use std::process::ExitCode;

use cc_protocol::control::ControlType;
use clap::Parser as _;

use crate::{
    args::{Arguments, Command, ControlArguments, ServerOptions},
    command::{
        attach, batch, config, demo, doctor, drain, gates, ps, reload, run, status, token, workers,
    },
    display::terminal,
    error::CommandError,
};

/// Runs `ccx` with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let Arguments { mut server, command } = Arguments::parse();
    // An empty variable is how people unset one for a single command.
    server.url = server.url.filter(|url| !url.is_empty());
    let outcome = match command {
        Command::StandInAgent(arguments) => Ok(stand_in_agent::run(&arguments)),
        Command::Run(arguments) => on_runtime(run::run(server, *arguments)),
        Command::Batch(arguments) => on_runtime(batch::run(server, *arguments)),
        Command::Batches(arguments) => on_runtime(batch::list::run(server, arguments)),
        Command::Gates(arguments) => on_runtime(gates::run(server, arguments)),
        Command::Gate(command) => on_runtime(gates::open(server, command)),
        Command::Workers(arguments) => on_runtime(workers::run(server, arguments)),
        Command::Status(arguments) => on_runtime(status::run(server, arguments)),
        Command::Ps(arguments) => on_runtime(ps::run(server, arguments)),
        Command::Attach(arguments) => on_runtime(attach::attach(server, arguments)),
        Command::Logs(arguments) => on_runtime(attach::logs(server, arguments)),
        Command::Cancel(arguments) => control(server, arguments, ControlType::Cancel),
        Command::Pause(arguments) => control(server, arguments, ControlType::Pause),
        Command::Resume(arguments) => control(server, arguments, ControlType::Resume),
        Command::Config(command) => on_runtime(config::run(server, command)),
        Command::Reload(arguments) => on_runtime(reload::run(server, arguments)),
        Command::Drain(arguments) => on_runtime(drain::drain(server, arguments)),
        Command::Undrain => on_runtime(drain::undrain(server)),
        Command::Demo(arguments) => on_runtime(demo::run(server, arguments)),
        Command::Doctor(arguments) => on_runtime(doctor::run(server, arguments)),
        Command::Token(command) => token::run(&command),
        Command::DoctorProbe => Ok(doctor::probe::run()),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::note(&format!("ccx: {error}"));
            ExitCode::from(exit_code::of_error(&error))
        }
    }
}

fn control(
    server: ServerOptions,
    arguments: ControlArguments,
    control: ControlType,
) -> Result<u8, CommandError> {
    on_runtime(command::control::run(server, arguments, control))
}

/// One thread is enough for one connection; writing to a slow terminal has a thread of its own.
fn on_runtime(command: impl Future<Output = Result<u8, CommandError>>) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::io("cannot start"))?;
    let outcome = runtime.block_on(command);
    // A blocked write to a terminal must not keep the process.
    runtime.shutdown_background();
    outcome
}
