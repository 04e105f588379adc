//! The threads that the supervisor runs on. They are had at the start and kept, or there is no start: while it serves,
//! a machine on which no thread can be made is no reason to fail.
//!
//! The runtime panics where it cannot make a thread at its own start, and later where it has none left for what may
//! block. With one that is always there, such work waits for it instead.

use std::{io::Write as _, panic, process};

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::config::limits;

/// What is wrong where there are none, and what to do, for people.
pub const ADVICE: &str = "no thread could be made: too many processes run already, or there is too little memory; raise \
                      the limit (ulimit -u, ulimit -v; in a service TasksMax= and LimitNPROC=) or start it again later";

/// The runtime, with a thread for what may block. Where there are no threads to be had, this process says so and
/// exits: a runtime that is built by half can neither be used nor be dropped.
///
/// # Errors
/// When it lacks something else.
pub fn runtime() -> anyhow::Result<Runtime> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|problem| {
        let problem = problem.payload_as_str().unwrap_or("the runtime cannot be built");
        drop(writeln!(std::io::stderr(), "cc-supervisor: {problem}: {ADVICE}"));
        process::exit(1);
    }));
    let runtime = Builder::new_multi_thread()
        .worker_threads(limits::RUNTIME_THREADS)
        .max_blocking_threads(limits::BLOCKING_THREADS)
        .thread_keep_alive(limits::BLOCKING_THREAD_IDLE)
        .thread_name("supervisor")
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(runtime.spawn_blocking(|| ())).context("starting the runtime")?;
    panic::set_hook(usual);
    Ok(runtime)
}
