//! A process that this one did not start, held by a pidfd and waited for in the runtime. Used for workers and for their
//! keepers.

use std::{io, os::fd::OwnedFd, sync::Arc};

use cc_proctree::pidfd;
use rustix::process::Signal;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use crate::config::limits;

/// A handle on a process; clones mean the same one.
#[derive(Clone, Debug)]
pub struct ProcessHandle {
    process: Arc<AsyncFd<pidfd::Pidfd>>,
}

impl ProcessHandle {
    /// Opens the process that has this pid now. The caller must rule out that the pid was reused.
    ///
    /// # Errors
    /// When there is no such process, or no descriptor is free.
    pub fn open(pid: i32) -> io::Result<Self> {
        Self::watch(pidfd::Pidfd::open(pid)?)
    }

    /// The process with this pid, from a non-blocking pidfd that came from it.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn of(pid: i32, handle: OwnedFd) -> io::Result<Self> {
        Self::watch(pidfd::Pidfd::received(pid, handle))
    }

    #[expect(
        deprecated,
        reason = "deprecated for what is no descriptor of its own; a pidfd is, and the replacement is unsafe"
    )]
    fn watch(process: pidfd::Pidfd) -> io::Result<Self> {
        Ok(Self { process: Arc::new(AsyncFd::with_interest(process, Interest::READABLE)?) })
    }

    /// The pid, for messages.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.get_ref().pid()
    }

    /// Sends a signal; for a process that has exited this does nothing.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = self.process.get_ref().signal(signal) {
            tracing::warn!(pid = self.pid(), %error, "signalling a worker");
        }
    }

    /// Whether it has exited.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.process.get_ref().has_ended()
    }

    /// Returns when it has exited, whether its parent has reaped it or not.
    pub async fn ended(&self) {
        // It stays readable from the exit on. An error means that the runtime is going down.
        drop(self.process.readable().await);
    }

    /// Kills it and waits for its exit. False: it has not exited in time (uninterruptible sleep).
    pub async fn kill(&self) -> bool {
        self.signal(Signal::KILL);
        timeout(limits::WORKER_EXIT, self.ended()).await.is_ok()
    }
}
