//! A process that is not a child of this one, by its pidfd: workers, which are children of their keepers, and keepers.

use std::{io, os::fd::OwnedFd, sync::Arc};

use cc_proctree::pidfd::Pidfd;
use rustix::process::Signal;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use crate::config::limits;

/// Clones are the same process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessHandle {
    pidfd: Arc<AsyncFd<Pidfd>>,
}

impl ProcessHandle {
    /// Opens the process that has this pid now. The caller must rule out that the pid was reused.
    ///
    /// # Errors
    /// When there is no such process, or no descriptor is free.
    pub(crate) fn open(pid: i32) -> io::Result<Self> {
        Self::watch(Pidfd::open(pid)?)
    }

    /// The process with this pid, from a non-blocking pidfd that the process sent.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(super) fn received(pid: i32, pidfd: OwnedFd) -> io::Result<Self> {
        Self::watch(Pidfd::received(pid, pidfd))
    }

    #[expect(
        deprecated,
        reason = "deprecated for what is no descriptor of its own; a pidfd is, and the replacement is unsafe"
    )]
    fn watch(pidfd: Pidfd) -> io::Result<Self> {
        Ok(Self { pidfd: Arc::new(AsyncFd::with_interest(pidfd, Interest::READABLE)?) })
    }

    /// For messages. Signals go through the pidfd.
    #[must_use]
    pub(crate) fn pid(&self) -> i32 {
        self.pidfd.get_ref().pid()
    }

    /// Sends a signal. For a process that has exited this does nothing.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Err(error) = self.pidfd.get_ref().signal(signal) {
            tracing::warn!(pid = self.pid(), %error, "signaling a worker");
        }
    }

    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.pidfd.get_ref().has_ended()
    }

    /// Waits for the exit. The process may not be reaped then.
    pub(crate) async fn ended(&self) {
        // The pidfd stays readable from the exit on. An error means that the runtime is going down.
        drop(self.pidfd.readable().await);
    }

    /// Sends SIGKILL and waits for the exit. False: it has not exited in time (uninterruptible sleep).
    pub(crate) async fn kill(&self) -> bool {
        self.signal(Signal::KILL);
        timeout(limits::WORKER_EXIT, self.ended()).await.is_ok()
    }
}
