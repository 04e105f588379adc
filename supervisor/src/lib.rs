//! cc-supervisor: the long-lived daemon that accepts connections and starts one worker for every task.
//!
//! It never runs a task's code, never touches a task's bytes before a worker has bounded them, and
//! never waits for a disk, a client or a task.
//!
//! Modules in the order in which data travels. At the start `config` becomes a `shared` state, and
//! `startup` sees to the tasks of earlier supervisors: `adopt` finds their workers, `takeover` gives them owners.
//! Then `listener` accepts, `admission` decides, `http` upgrades, `connection` carries messages, `session`
//! answers them. `execute` turns a request into a task spec, `spawn` has its `keeper` fork a `worker` for it, an `owner` follows
//! it, `relay` takes its records to the `feed`, `translate` turns them into notifications.
//! `batch` starts the tasks of batches in the same way, by itself. `serve` holds all this
//! together, `stops` says when it is over, `shutdown` ends everything or leaves it to the next supervisor.

mod limits;

mod args;
mod cli_news;
mod clock;
mod config;
mod logging;
mod metrics;
mod open_files;
mod problems;
mod retention;
mod shared;
mod sources;
mod state_dir;
mod store;

mod admission;
mod http;
mod listener;
mod peer;

mod answer;
mod connection;
mod express;
mod heartbeat;
mod message;
mod session;
mod session_execute;
mod session_life;
mod session_resume;
mod session_wait;
mod sessions;
mod summary;
mod task_calls;
mod writer;

mod environment;
mod execute;

mod batch;
mod batch_calls;

mod aftermath;
mod feed;
mod keeper;
mod keepers;
mod lifecycle;
mod not_started;
mod output_text;
mod owner;
mod pidfd;
mod registry;
mod relay;
mod spawn;
mod task;
mod texts;
mod translate;
mod trusted_time;
mod untold;
mod uptime;
mod watchdog;
mod worker;

mod adopt;
mod startup;
mod takeover;

mod containment;
mod serve;
mod service;
mod shutdown;
mod stops;
mod strangers;
mod threads;

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;

use crate::{args::Args, config::Config, state_dir::StateDir};

/// The program: reads the command line and the environment, runs until it is told to stop.
#[must_use]
pub fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln!`, which panics where standard error is closed.
            drop(writeln!(std::io::stderr(), "cc-supervisor: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::resolve(args, &|name| std::env::var_os(name))?;
    logging::init(&config)?;
    // Before there are threads: it changes the environment.
    let inherited = service::inherited_listener()?;
    stops::unblock_signals().context("unblocking the signals that stop it")?;
    let state_dir = StateDir::open(&config.state_dir)?;
    let runtime = threads::runtime()?;
    let open_files = open_files::raise(&config);
    let outcome = runtime.block_on(serve::serve(config, state_dir, inherited, open_files));
    runtime.shutdown_timeout(limits::SHUTDOWN_RUNTIME);
    outcome
}
