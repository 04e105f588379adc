//! A descriptor in reserve. Where none is left, a connection cannot even be accepted and refused: it would wait in the kernel's
//! queue, and the listener would be ready for ever. The reserve is given up for each such connection and taken again.

use std::{fs::File, io};

use rustix::{fd::OwnedFd, io::fcntl_dupfd_cloexec};

/// Descriptors that must be free before the want of them is over.
const FREE: usize = 8;

#[derive(Debug)]
pub(super) struct Reserve(Option<File>);

impl Reserve {
    pub(super) fn new() -> Self {
        Self(open().ok())
    }

    /// Frees the descriptor. `false`: there is none.
    pub(super) fn give_up(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes a descriptor again, if there is one.
    pub(super) fn restore(&mut self) {
        if self.0.is_none() {
            self.0 = open().ok();
        }
    }

    /// Whether there are descriptors to spare.
    pub(super) fn is_over(&mut self) -> bool {
        self.restore();
        let Some(file) = &self.0 else { return false };
        let spare: Vec<OwnedFd> =
            (0..FREE).map_while(|_| fcntl_dupfd_cloexec(file, 0).ok()).collect();
        spare.len() == FREE
    }
}

fn open() -> io::Result<File> {
    File::open("/dev/null")
}

/// Whether this error says that no descriptor is left, for this process or on this machine.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
