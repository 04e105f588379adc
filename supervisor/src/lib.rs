//! cc-supervisor: the long-lived daemon that accepts connections and starts one worker for every task.
//!
//! It never runs a task's code, never handles a task's bytes before a worker has bounded them, and never waits for a
//! disk, a client or a task.
//!
//! Each module imports only from modules that stand below it in this list. A request travels down from `http` to
//! `worker`. What a task prints travels the other way: from its `worker` to the `feed` of its `task`, which `delivery`
//! reads for each client that follows it.

/// Batches: lists of tasks that run to their ends without a client.
mod batch;
/// What is decided once: settings from the command line, the environment and a file, and limits.
mod config;
/// One WebSocket: messages in, messages out, heartbeat.
mod connection;
/// The life of the program: start, recovery of earlier tasks, signals, shutdown.
mod daemon;
/// The way back: records of a task become messages of a client.
mod delivery;
/// Who may come in: the listener, admission, the HTTP upgrade, health and metrics pages.
mod http;
/// For operators: log, metrics, health, systemd, clocks.
mod ops;
/// What a client may ask for, and what outlives its connection.
mod session;
/// The disk: the database and the state directory.
mod storage;
/// One task, from its request to its terminal event.
mod task;
/// The processes that run tasks: how a worker is started, adopted and ended.
mod worker;

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;

use crate::{
    config::{Config, check, command_line::Arguments, limits},
    daemon::{runtime, signals},
    ops::{logging, open_files, systemd},
    storage::state_dir::StateDir,
};

/// The program: reads the command line and the environment, runs until it is told to stop.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::from_process();
    if arguments.is_check {
        return check_config(arguments);
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail([format!("{error:#}")]),
    }
}

fn check_config(arguments: Arguments) -> ExitCode {
    match check::check(arguments, &|name| std::env::var_os(name)) {
        Ok(settings) => match write!(std::io::stdout(), "{settings}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail([format!("standard output: {error}")]),
        },
        Err(mistakes) => fail(mistakes.iter().map(ToString::to_string)),
    }
}

fn fail(errors: impl IntoIterator<Item = String>) -> ExitCode {
    for error in errors {
        // Not `eprintln!`, which panics where standard error is closed.
        drop(writeln!(std::io::stderr(), "cc-supervisor: {error}"));
    }
    ExitCode::FAILURE
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments, &|name| std::env::var_os(name))?;
    logging::init(&config)?;
    // Before there are threads: it changes the environment.
    let inherited = systemd::inherited_listener()?;
    signals::unblock_signals().context("unblocking the signals that stop it")?;
    let state_dir = StateDir::open(&config.state_dir)?;
    let runtime = runtime::runtime()?;
    let open_files = open_files::raise(&config);
    let outcome = runtime.block_on(daemon::serve(config, state_dir, inherited, open_files));
    runtime.shutdown_timeout(limits::SHUTDOWN_RUNTIME);
    outcome
}
