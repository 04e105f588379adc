//! The worker's signals, as descriptors for its poll loop.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use signal_hook::{
    consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};

/// Two self-pipes.
#[derive(Debug)]
pub(crate) struct Signals {
    child: UnixStream,
    stop: UnixStream,
}

impl Signals {
    pub(crate) fn install() -> io::Result<Self> {
        let (child, child_write) = UnixStream::pair()?;
        let (stop, stop_write) = UnixStream::pair()?;
        pipe::register(SIGCHLD, child_write)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            pipe::register(signal, stop_write.try_clone()?)?;
        }
        child.set_nonblocking(true)?;
        stop.set_nonblocking(true)?;
        Ok(Self { child, stop })
    }

    /// Readable when a child has ended.
    pub(crate) fn child(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }

    /// Readable after a signal to stop (SIGTERM, SIGINT, SIGHUP).
    pub(crate) fn stop(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }

    /// Reads both descriptors empty: they become readable again with the next signal.
    pub(crate) fn clear(&mut self) {
        let mut bytes = [0; 64];
        for stream in [&mut self.child, &mut self.stop] {
            while matches!(stream.read(&mut bytes), Ok(count) if count == bytes.len()) {}
        }
    }
}
