//! Connects to a Unix socket whose path may be longer than a socket's address.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};
use tokio::{
    net::UnixStream,
    time::{Instant, sleep},
};

use crate::config::limits;

/// Connects to the socket of this name in `directory`. `None`: there is no such socket, or no process listens on it.
///
/// # Errors
/// When it is not known whether a process listens there.
pub(super) async fn connect_in(
    directory: BorrowedFd<'_>,
    name: &str,
) -> io::Result<Option<UnixStream>> {
    // A socket's address has 108 bytes, a path up to 4096: the descriptor is a short name for the directory.
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    let deadline = Instant::now() + limits::ADOPT_ANSWER;
    loop {
        match UnixStream::connect(&path).await {
            Ok(connection) => return Ok(Some(connection)),
            Err(error) if has_no_listener(&error) => return Ok(None),
            // The listener's queue is full.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
            {
                sleep(limits::ADOPT_RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// As [`connect_in`], for a directory that may be missing.
///
/// # Errors
/// As [`connect_in`].
pub(super) async fn connect(directory: &Path, name: &str) -> io::Result<Option<UnixStream>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(directory, flags, Mode::empty()) {
        Ok(directory) => connect_in(directory.as_fd(), name).await,
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A process that exits while it is being connected to resets the connection.
fn has_no_listener(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}
