//! A process that this one did not start, held so that its number cannot come to mean another one.
//!
//! Its exit can be waited for, but its status cannot be had: that goes to its parent. Used for workers and for their
//! keepers.

use std::{io, os::fd::OwnedFd, sync::Arc};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use crate::config::limits;

/// A handle on a process; clones mean the same one.
#[derive(Clone, Debug)]
pub struct Pidfd {
    pid: i32,
    descriptor: Arc<AsyncFd<OwnedFd>>,
}

impl Pidfd {
    /// Of whoever has this number now; whether that is who is meant, the caller must know otherwise.
    ///
    /// # Errors
    /// When there is no such process, or no descriptor is free.
    pub fn open(pid: i32) -> io::Result<Self> {
        let number = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
        // It is non-blocking, as the runtime wants it.
        Self::of(pid, pidfd_open(number, PidfdFlags::NONBLOCK)?)
    }

    /// Of the process with this number, from a handle that is non-blocking.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn of(pid: i32, handle: OwnedFd) -> io::Result<Self> {
        Ok(Self { pid, descriptor: Arc::new(register(handle)?) })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal; a process that has exited does not mind.
    pub fn signal(&self, signal: Signal) {
        match pidfd_send_signal(self.descriptor.get_ref(), signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::warn!(pid = self.pid, %error, "signalling a worker"),
        }
    }

    /// Whether it has exited.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut descriptors = [PollFd::new(self.descriptor.get_ref(), PollFlags::IN)];
        poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
            .is_ok_and(|ready| ready > 0)
    }

    /// Returns when it has exited, whether its parent has reaped it or not.
    pub async fn ended(&self) {
        // It stays readable from the exit on. An error means that the runtime is going down.
        drop(self.descriptor.readable().await);
    }

    /// Kills it and waits for its exit. False: it has not exited in time (uninterruptible sleep).
    pub async fn kill(&self) -> bool {
        self.signal(Signal::KILL);
        timeout(limits::WORKER_EXIT, self.ended()).await.is_ok()
    }
}

#[expect(
    deprecated,
    reason = "deprecated for what is no descriptor of its own; an OwnedFd is, and the replacement is unsafe"
)]
fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
