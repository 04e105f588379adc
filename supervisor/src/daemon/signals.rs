//! What tells the supervisor to stop, in one queue, and what tells it to read its configuration again.
//!
//! | what | means |
//! |---|---|
//! | SIGTERM, the end of standard input if asked for | what `--on-stop` says |
//! | SIGINT | stop, and end all tasks |
//! | SIGUSR1 | stop, and keep the tasks for the next supervisor |
//! | SIGHUP | read the configuration again, as other daemons do; also where it is inherited as ignored (nohup(1)) |

use std::io::{self, Read as _};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use tokio::{
    signal::unix::{Signal as TokioSignal, SignalKind, signal},
    sync::mpsc,
};

use crate::ops::threads::NO_THREAD;

/// An order to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// As `--on-stop` says.
    AsConfigured,
    /// And end all tasks.
    EndTasks,
    /// And let the tasks run.
    KeepTasks,
}

/// Where no signal is the cause.
const STDIN_EOF: &str = "end of standard input";

const SIGNALS: [(Signal, Stop); 3] = [
    (Signal::SIGTERM, Stop::AsConfigured),
    (Signal::SIGINT, Stop::EndTasks),
    (Signal::SIGUSR1, Stop::KeepTasks),
];

/// Unblocks the signals that it handles: a background shell may start programs with them blocked, and then
/// only SIGKILL could stop it. To be called before there are threads.
///
/// # Errors
/// None that sigprocmask(2) documents for this use.
pub(crate) fn unblock_signals() -> nix::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGHUP);
    for (signal, _) in SIGNALS {
        signals.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&signals), None)
}

/// The queue of orders to stop.
#[derive(Debug)]
pub(crate) struct Stops {
    queue: mpsc::Receiver<(Stop, &'static str)>,
    _keep_open: mpsc::Sender<(Stop, &'static str)>,
}

impl Stops {
    /// A handler replaces an inherited "ignore", as a background shell sets it for SIGINT.
    ///
    /// # Errors
    /// When a handler cannot be installed or a thread cannot be made.
    pub(crate) fn listen(on_stdin_eof: bool) -> anyhow::Result<Self> {
        let (to_queue, queue) = mpsc::channel(4);
        for (number, stop) in SIGNALS {
            let mut signals =
                signal(SignalKind::from_raw(number as i32)).context("handling signals")?;
            let to_queue = to_queue.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    // A full queue holds orders to stop already.
                    to_queue.try_send((stop, number.as_str())).ok();
                }
            });
        }
        if on_stdin_eof {
            let to_queue = to_queue.clone();
            // A thread of its own: a read that never returns must not keep the runtime from ending.
            std::thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || {
                    wait_for_end_of_stdin();
                    to_queue.try_send((Stop::AsConfigured, STDIN_EOF)).ok();
                })
                .with_context(|| NO_THREAD)?;
        }
        Ok(Self { queue, _keep_open: to_queue })
    }

    /// The next order, and the signal that it came by. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> (Stop, &'static str) {
        // The queue has a sender in `self`, so it never ends.
        self.queue.recv().await.unwrap_or((Stop::AsConfigured, STDIN_EOF))
    }
}

/// The orders to read the configuration again.
#[derive(Debug)]
pub(crate) struct Reloads(TokioSignal);

impl Reloads {
    /// # Errors
    /// When the handler cannot be installed.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        signal(SignalKind::hangup()).map(Self).context("handling signals")
    }

    /// The next order; several that came together are one.
    pub(crate) async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

fn wait_for_end_of_stdin() {
    let mut stdin = io::stdin().lock();
    let mut ignored = [0; 1024];
    loop {
        match stdin.read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
