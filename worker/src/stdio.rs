//! The descriptors that the worker was started with.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

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
