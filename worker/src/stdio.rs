//! The descriptors that the worker was born with, made its own.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

/// Stdin and stdout, moved to numbers of their own: a supervisor that adopts the worker takes their place,
/// and then they must be closed, without leaving 0 and 1 free for whatever is opened next.
pub(crate) fn take() -> io::Result<(OwnedFd, OwnedFd)> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok((stdin, stdout))
}
