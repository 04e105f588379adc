//! A child of this process that another process forked for it: a worker.
//!
//! It is this process's to reap, and until it is reaped its number is nobody else's.

use std::{io, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use crate::pidfd::Pidfd;

/// A handle on the child. Dropped before its end it is not reaped: a zombie then, when it ends, until this process
/// does.
#[derive(Debug)]
pub struct Child {
    process: Pidfd,
    status: Option<ExitStatus>,
}

impl Child {
    /// Of the child with this number, dead or alive.
    ///
    /// # Errors
    /// When there is none, or no descriptor is free.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { process: Pidfd::open(pid)?, status: None })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Sends SIGKILL; a child that has exited does not mind.
    pub fn kill(&self) {
        self.process.signal(Signal::KILL);
    }

    /// How it ended, if it has; then it is reaped. Asked again it says the same.
    ///
    /// # Errors
    /// As waitpid(2): somebody else has reaped it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none()
            && let Some((_, status)) = waitpid(Pid::from_raw(self.pid()), WaitOptions::NOHANG)?
        {
            self.status = Some(ExitStatus::from_raw(status.as_raw()));
        }
        Ok(self.status)
    }

    /// Waits for its end, and reaps it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As waitpid(2): somebody else has reaped it.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if self.status.is_none() {
            self.process.ended().await;
        }
        self.try_wait()?.ok_or_else(|| io::Error::other("it has not ended"))
    }
}
