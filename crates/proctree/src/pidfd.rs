//! Signals, by pidfd_open(2) and pidfd_send_signal(2): a pid is used again after its process's death, a pidfd never means
//! another process. **This is the only place that sends signals**, but for the `Child::kill` and `kill_on_drop` of std and
//! tokio, by which a program ends a child of its own that it has not yet reaped.
//!
//! [`Process::signal`] is for a process that a look at `/proc` has found, [`Pidfd`] for one that is held for longer.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::procfs::Process;

/// A process that is held, so that its pid cannot come to mean another one. Non-blocking, and readable when the process
/// has exited. Its exit status goes to its parent.
#[derive(Debug)]
pub struct Pidfd {
    pid: i32,
    descriptor: OwnedFd,
}

impl Pidfd {
    /// Opens the process that has this pid now. The caller must rule out that the pid was reused: it is the parent, or it
    /// compares [`Process::read`] afterwards with what it knows.
    ///
    /// # Errors
    /// When there is no such process, or no descriptor is free.
    pub fn open(pid: i32) -> io::Result<Self> {
        let number = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
        Ok(Self { pid, descriptor: pidfd_open(number, PidfdFlags::NONBLOCK)? })
    }

    /// A pidfd that came from another process, of the process with this pid.
    #[must_use]
    pub fn received(pid: i32, descriptor: OwnedFd) -> Self {
        Self { pid, descriptor }
    }

    /// The pid, for messages.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal; to a process that has exited this does nothing.
    ///
    /// # Errors
    /// When this user may not signal it.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it has exited, reaped or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Pidfd {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl Process {
    /// Sends a signal to this process and to no other, even if its number was used again meanwhile.
    /// Says whether it was there to get it.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> bool {
        self.signal_in_turn(&[signal])
    }

    /// The same with several signals, in their order.
    #[must_use]
    pub fn signal_in_turn(&self, signals: &[Signal]) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        // The handle pins the process that has the pid now; only then can it be compared with this one.
        let is_same = Self::read(self.pid).is_some_and(|now| now.is_same_as(self));
        is_same && signals.iter().all(|signal| pidfd_send_signal(&handle, *signal).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_not_sent_to_another_process_of_the_same_number() {
        let mut own = Process::read(std::process::id() as i32).unwrap();
        own.start_ticks += 1;
        assert!(!own.signal(Signal::KILL));
    }

    #[test]
    fn a_held_process_is_seen_to_end_and_needs_no_signal_then() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let handle = Pidfd::open(child.id() as i32).unwrap();
        assert!(!handle.has_ended());
        handle.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(handle.has_ended());
        handle.signal(Signal::KILL).unwrap();
    }
}
