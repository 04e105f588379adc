//! `ccx`: what people type to run one task or a batch of tasks under cc-supervisor.
//!
//! Modules in the order in which a command travels: `args` reads the command line, `task_file`
//! and `agent` settle what is to run, `server` connects (starting a `private_supervisor` where
//! no running one is named), `follow` drives one task to its end, `sequence` several, and
//! `run_output`, `progress`, `ending`, `report`, `reports` and `leftovers` say what came of it. `view`,
//! `ps` and `steer` are for tasks that a standing supervisor runs; `task_id` finds them. `exit_code` is
//! the one place where ends become numbers. `doctor` looks at what all of this needs.
//!
//! `ccx` never starts a task itself: tasks are children of workers, which are children of the
//! supervisor. Nothing that it starts outlives it: a private supervisor stops when `ccx` is gone,
//! however that went; a detached task is the supervisor's. It needs no running daemon to run a task, and
//! keeps no state.

mod args;
mod task_file;

mod agent;
mod programs;

mod interrupts;
mod private_supervisor;
mod server;

mod ending;
mod follow;
mod run;
mod run_output;

mod ps;
mod steer;
mod task_id;
mod view;

mod advice;
mod batch;
mod conclusion;
mod demo;
mod dry_run;
mod gates;
mod grid;
mod leftovers;
mod progress;
mod report;
mod reports;
mod row;
mod sequence;
mod table;
mod text;

mod exit_code;
mod failure;
mod stand_in_agent;

mod doctor;

use std::{io::Write as _, process::ExitCode};

use cc_protocol::control::ControlType;
use clap::Parser as _;

use crate::{
    args::{Arguments, Command, ServerOptions, SteerArguments},
    failure::Failure,
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
        Command::Gate(command) => on_runtime(gates::steer(server, command)),
        Command::Ps(arguments) => on_runtime(ps::run(server, arguments)),
        Command::Attach(arguments) => on_runtime(view::attach(server, arguments)),
        Command::Logs(arguments) => on_runtime(view::logs(server, arguments)),
        Command::Cancel(arguments) => steer(server, arguments, ControlType::Cancel),
        Command::Pause(arguments) => steer(server, arguments, ControlType::Pause),
        Command::Resume(arguments) => steer(server, arguments, ControlType::Resume),
        Command::Demo(arguments) => on_runtime(demo::run(server, arguments)),
        Command::Doctor(arguments) => on_runtime(doctor::run(server, arguments)),
        Command::DoctorProbe => Ok(doctor::probe::run()),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // Nobody may be there to read it; the exit code says it too.
            drop(writeln!(std::io::stderr(), "ccx: {failure}"));
            ExitCode::from(failure.exit_code)
        }
    }
}

fn steer(
    server: ServerOptions,
    arguments: SteerArguments,
    control: ControlType,
) -> Result<u8, Failure> {
    on_runtime(steer::run(server, arguments, control))
}

/// One thread is enough for one connection; writing to a slow terminal has a thread of its own.
fn on_runtime(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::own(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(command);
    // A write to a terminal that nobody reads must not keep the process.
    runtime.shutdown_background();
    outcome
}
