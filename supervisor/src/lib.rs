//! cc-supervisor: the long-lived daemon that accepts connections and starts one worker for every task.
//!
//! It never runs a task's code, never handles a task's bytes before a worker has bounded them, and never waits for a
//! disk, a client or a task.
//!
//! A request travels down this list, from `http` to `worker`. What a task prints travels back up: from its worker to
//! the feed of its task, and from there through `delivery` to each client that follows it. Each module imports only from
//! modules below it; `storage`, `ops` and `config` serve all of them. The `mod.rs` of each is the map of its files.
//!
//! How a process tree is killed is in [`cc_proctree::kill`]: a task's worker, which is a program of its own, does that.
//! The supervisor does it itself only for a worker that has died (`task/worker_lost.rs`).

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

/// The life of the program: start, recovery of earlier tasks (`recovery.rs`), signals, shutdown.
mod daemon;

/// Who is let in (`admission.rs`): the listening socket, the upgrade to a WebSocket, health and metrics pages.
mod http;

/// One WebSocket connection, from its upgrade to its end (`serve.rs`): reader, writer, heartbeat.
mod connection;

/// What a client may ask for: the table of methods (`dispatch.rs`), a session on its connection (`handler.rs`), and the
/// sessions that outlive their connections (`registry/session.rs`).
mod session;

/// Batches: lists of tasks that run to their ends without a client. Each has an owner that carries out the next step
/// (`owner/step.rs`), which the pure state machine of [`cc_batch::life`] decides.
mod batch;

/// The way back to the client: bytes of a task's records become messages (`notification.rs`), and are written to its
/// socket (`socket.rs`).
mod delivery;

/// One task, from its request to its terminal event. Each has an owner (`owner/`), to which all others send requests.
mod task;

/// The processes that run tasks: where a worker is started (`spawner.rs`), adopted, and its process signaled.
mod worker;

/// The disk: the thread that stores every row (`database.rs`; [`cc_state`] has the statements), and the state directory.
mod storage;

/// For operators: log, metrics, health, systemd, clocks.
mod ops;

/// What is decided once: settings from the command line, the environment and a file (`settings/table.rs`), and every
/// other limit (`limits.rs`).
mod config;

/// What the fuzz targets call. No other build has it.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::{
        config::fuzz_settings, connection::fuzz_frames, delivery::fuzz_written_frames,
        session::fuzz_message,
    };
}

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::{
    config::{
        check,
        command_line::{Arguments, Question},
        default_file, environment, error, limits,
        live::Live,
        sources::Sources,
    },
    daemon::{runtime, signals},
    ops::{logging, open_files, panics, systemd},
    storage::state_dir::StateDir,
};

/// Reads the command line and the environment, and runs until it is told to stop.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::from_process();
    if let Some(question) = arguments.question {
        return answer(question, arguments);
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail([format!("{error:#}")]),
    }
}

fn answer(question: Question, arguments: Arguments) -> ExitCode {
    let warnings = match question {
        Question::DefaultFile => Vec::new(),
        Question::Check | Question::CheckJson => {
            check::warnings(arguments.clone(), &|name| std::env::var_os(name))
        }
    };
    let text = match question {
        Question::DefaultFile => Ok(default_file::text()),
        Question::Check => check::check(arguments, &|name| std::env::var_os(name)),
        Question::CheckJson => check::check_json(arguments),
    };
    if text.is_ok() {
        say(warnings);
    }
    match text {
        Ok(text) => match write!(std::io::stdout(), "{text}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail([format!("standard output: {error}")]),
        },
        Err(mistakes) => fail(mistakes.iter().map(ToString::to_string)),
    }
}

fn fail(errors: impl IntoIterator<Item = String>) -> ExitCode {
    say(errors);
    ExitCode::FAILURE
}

fn say(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        // Not `eprintln!`, which panics where standard error is closed.
        drop(writeln!(std::io::stderr(), "cc-supervisor: {line}"));
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = Live::load(Sources::of_process(arguments)).map_err(error::StartError)?;
    let config = settings.config();
    // In this order: what these do to the environment is not to be done beside threads.
    let wiped = environment::wipe_secrets();
    if !config.allow_core_dumps {
        // Tasks have the same user: without this, one of them could read this process's memory.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).context("PR_SET_DUMPABLE")?;
    }
    let inherited = systemd::inherited_listener()?;
    let _log = logging::init(&config)?;
    wiped.context("taking the token out of the environment")?;
    if config.tokens.is_of_variable() {
        tracing::warn!(
            "the token came by an environment variable, which other processes of this user may have read: keep it in a \
             file (--token-file)"
        );
    }
    let unusable = settings.unusable_variables();
    if !unusable.is_empty() {
        let names = unusable.join(", ");
        tracing::warn!(names, "environment variables that are not UTF-8 are not passed to tasks");
    }
    signals::unblock_signals().context("unblocking the signals that stop it")?;
    let state_dir = StateDir::open(&config.state_dir)?;
    cc_proctree::allocator::give_back_large_blocks();
    let runtime = runtime::runtime()?;
    panics::install();
    let open_files = open_files::raise(&config);
    let outcome = runtime.block_on(daemon::serve(settings, state_dir, inherited, open_files));
    runtime.shutdown_timeout(limits::SHUTDOWN_RUNTIME);
    outcome
}
