//! Children of this process that it did not start: what a wrapper had started before it became the supervisor by
//! execve(2), and, where this is process 1, orphaned processes of the whole container. They are reaped when they have
//! ended, and otherwise left alone.
//!
//! The code that has started a child waits for it itself, within milliseconds of its end. So a child that has been dead
//! for longer was not started here.

use std::io;

use cc_proctree::procfs::{self, Process};
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::sleep,
};

use crate::config::limits;

/// Reaps them as long as this process runs.
///
/// # Errors
/// When SIGCHLD cannot be waited for.
pub(super) async fn reap() -> io::Result<()> {
    let mut child_ended = signal(SignalKind::child())?;
    loop {
        // Some may have ended before this began.
        let mut dead = look().await;
        while !dead.is_empty() {
            sleep(limits::STRANGER_WAIT).await;
            let now = look().await;
            for process in now.iter().filter(|now| dead.iter().any(|dead| dead.is_same_as(now))) {
                let waited = waitpid(Pid::from_raw(process.pid), WaitOptions::NOHANG);
                tracing::debug!(
                    pid = process.pid,
                    ?waited,
                    "reaped a child that was not started here"
                );
            }
            dead = look().await;
        }
        if child_ended.recv().await.is_none() {
            return Ok(());
        }
    }
}

/// The children that have ended and are not reaped.
async fn look() -> Vec<Process> {
    let own = getpid().as_raw_nonzero().get();
    // `/proc` can be long.
    let all = spawn_blocking(procfs::all).await;
    let mut dead = all.ok().and_then(Result::ok).unwrap_or_default();
    dead.retain(|process| process.parent == own && process.is_dead());
    dead
}
