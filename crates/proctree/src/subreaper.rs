//! The subreaper: every orphan below this process becomes its child (PR_SET_CHILD_SUBREAPER(2const)).
//!
//! So "there is no child left to wait for" proves that no descendant is left.

use std::io;

use rustix::{
    io::Errno,
    process::{WaitOptions, set_child_subreaper, wait},
};

/// Makes this process a subreaper for all that it starts from now on.
///
/// # Errors
/// On kernels without it (before 3.4).
pub fn enable() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its number, free for others from now on.
    pub pid: i32,
    pub status: ExitStatus,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What [`next_ended`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// This one has ended and is reaped.
    Ended(Ended),
    /// All that there are live.
    Alive,
    /// There are none: nothing that descends from this process is left.
    None,
}

/// Reaps one child of any, without waiting.
///
/// # Errors
/// None that wait(2) documents for this use.
pub fn next_ended() -> io::Result<Children> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(None) => return Ok(Children::Alive),
            Ok(Some((pid, status))) => {
                let pid = pid.as_raw_nonzero().get();
                let status = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => ExitStatus::Code(code),
                    (None, Some(signal)) => ExitStatus::Signal(signal),
                    (None, None) => continue,
                };
                return Ok(Children::Ended(Ended { pid, status }));
            }
            Err(Errno::CHILD) => return Ok(Children::None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
