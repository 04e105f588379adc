//! The threads that the supervisor runs on. They are made at the start and kept, or the supervisor does not start:
//! while it serves, it does not fail on a machine on which no thread can be made.
//!
//! The runtime panics where it cannot make a thread at its own start, and later where it has no thread left for work
//! that blocks. With one that is always there, such work waits for it instead.

use std::{io::Write as _, panic, process};

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::{config::limits, ops::threads::NO_THREAD};

/// The runtime, with a thread for work that blocks. Where no thread can be made, this process prints the reason and
/// exits: a runtime that is half built can neither be used nor be dropped.
///
/// # Errors
/// When anything else fails.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|problem| {
        let problem = problem.payload_as_str().unwrap_or("the runtime cannot be built");
        drop(writeln!(std::io::stderr(), "cc-supervisor: {problem}: {NO_THREAD}"));
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
