//! A named pipe by which a test tells a task to go on: an event where others would sleep.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::fd::AsFd,
    path::PathBuf,
};

use nix::sys::stat::Mode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use crate::PATIENCE;

/// The test's end of the pipe. Dropped, it gives the readers the end of the file.
pub struct Fifo {
    path: PathBuf,
    file: File,
    _directory: TempDir,
}

impl Fifo {
    #[must_use]
    pub fn create() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o666)).unwrap();
        // Read and write: opening does not wait for the other side, and what is written waits for it.
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Self { path, file, _directory: directory }
    }

    /// For the task's command line.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// What the task reads next.
    pub fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap();
    }

    /// Lets a task that waits for a line go on.
    pub fn release(&mut self) {
        self.write(b"go\n");
    }

    /// Waits until the task has written something; returns that.
    pub fn read(&mut self) -> String {
        let timeout = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        let mut descriptors = [PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN)];
        assert_eq!(poll(&mut descriptors, Some(&timeout)), Ok(1), "the task wrote nothing");
        let mut buffer = [0; 4096];
        let count = self.file.read(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }
}
