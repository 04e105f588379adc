//! The descriptors that the worker was started with, and what it says on standard error.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, OwnedFd},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Stdin and stdout, moved to other numbers: an adoption closes them, and 0 and 1 must not become free for the next file
/// that is opened.
pub(crate) fn take() -> io::Result<(OwnedFd, OwnedFd)> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok((stdin, stdout))
}

/// Writes a message to standard error, or drops it where that is closed or full. (`eprintln!` would panic, and a worker
/// that panics leaves its tree to its keeper.)
pub(crate) fn complain(what: std::fmt::Arguments<'_>) {
    let stderr = std::io::stderr();
    // An adopted worker has the standard error of a supervisor that is gone: a full pipe must not block it.
    let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut room, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        drop(writeln!(&stderr, "cc-worker: {what}"));
    }
}
