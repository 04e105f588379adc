//! Everything that tells the supervisor to stop, in one queue.
//!
//! | what | means |
//! |---|---|
//! | SIGTERM, SIGHUP, the end of standard input if asked for | what `--on-stop` says |
//! | SIGINT | stop, and end all tasks |
//! | SIGUSR1 | stop, and keep the tasks for the next supervisor |

use std::{
    fs,
    io::{self, Read as _},
};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::daemon::runtime;

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

const SIGNALS: [(Signal, Stop); 4] = [
    (Signal::SIGTERM, Stop::AsConfigured),
    (Signal::SIGHUP, Stop::AsConfigured),
    (Signal::SIGINT, Stop::EndTasks),
    (Signal::SIGUSR1, Stop::KeepTasks),
];

/// Unblocks the signals that stop the supervisor: a background shell may start programs with them blocked, and then
/// only SIGKILL could stop it. To be called before there are threads.
///
/// # Errors
/// None that sigprocmask(2) documents for this use.
pub(crate) fn unblock_signals() -> nix::Result<()> {
    let mut signals = SigSet::empty();
    for (signal, _) in SIGNALS {
        signals.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&signals), None)
}

/// The queue of orders to stop.
#[derive(Debug)]
pub(crate) struct Stops {
    queue: mpsc::Receiver<Stop>,
    _keep_open: mpsc::Sender<Stop>,
}

impl Stops {
    /// A handler replaces an inherited "ignore", as a background shell sets it for SIGINT. SIGHUP stays ignored where it
    /// is inherited so (nohup(1)): the supervisor is to outlive the terminal.
    ///
    /// # Errors
    /// When a handler cannot be installed or a thread cannot be made.
    pub(crate) fn listen(on_stdin_eof: bool) -> anyhow::Result<Self> {
        let (to_queue, queue) = mpsc::channel(4);
        for (number, stop) in SIGNALS {
            if number == Signal::SIGHUP && is_ignored(number) {
                continue;
            }
            let mut signals =
                signal(SignalKind::from_raw(number as i32)).context("handling signals")?;
            let to_queue = to_queue.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    // A full queue holds orders to stop already.
                    to_queue.try_send(stop).ok();
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
                    to_queue.try_send(Stop::AsConfigured).ok();
                })
                .with_context(|| runtime::ADVICE)?;
        }
        Ok(Self { queue, _keep_open: to_queue })
    }

    /// The next order. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Stop {
        // The queue has a sender in `self`, so it never ends.
        self.queue.recv().await.unwrap_or(Stop::AsConfigured)
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

/// Whether this process was started with the signal ignored (proc_pid_status(5)).
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status) & (1 << (signal as i32 - 1)) != 0
}

fn ignored_signals(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_found_in_the_mask_of_the_process() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), 0x1001, "SIGHUP and SIGPIPE");
        assert_eq!(ignored_signals("Name:\tx\n"), 0);
    }
}
