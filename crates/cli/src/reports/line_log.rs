//! A file to which whole lines are appended, one a task.
//!
//! A line is written with one call and nothing is buffered, so a killed process has lost no task that ended. A line that
//! a full disk refuses is kept and written with the next one.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::error::CommandError;

/// Most that is kept for later when lines cannot be written.
const UNWRITTEN_BYTES_LIMIT: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct LineLog {
    path: PathBuf,
    file: File,
    unwritten: Vec<u8>,
    /// Lines that were over [`UNWRITTEN_BYTES_LIMIT`].
    lost_lines: u64,
}

impl LineLog {
    /// A new log with this first line. A file that already has lines is refused: it may be all that
    /// is left of a night.
    pub(super) fn create(path: &Path, header: &str) -> Result<Self, CommandError> {
        let mut log = Self::of(path, open(path, true)?);
        let metadata = log.file.metadata().map_err(|error| log.refusal(&error))?;
        if metadata.is_file() && metadata.len() > 0 {
            // Nothing has ended since it was begun.
            if metadata.len() == header.len() as u64
                && std::fs::read(path).is_ok_and(|bytes| bytes == header.as_bytes())
            {
                return Ok(log);
            }
            return Err(CommandError::usage(format!(
                "{log} has lines already; resume a joblog with --resume, or name another file, or remove this one"
            )));
        }
        log.append(header).map_err(|error| log.refusal(&error))?;
        Ok(log)
    }

    /// Appends to a log that may exist. A last line that was cut off in the middle stays, and
    /// is closed.
    pub(super) fn go_on(path: &Path) -> Result<Self, CommandError> {
        let log = Self::of(path, open(path, true)?);
        let metadata = log.file.metadata().map_err(|error| log.refusal(&error))?;
        let mut last = [b'\n'];
        if metadata.is_file() && metadata.len() > 0 {
            log.file
                .read_exact_at(&mut last, metadata.len() - 1)
                .map_err(|error| log.refusal(&error))?;
        }
        Ok(if last == [b'\n'] { log } else { log.after(b"\n") })
    }

    /// Appends to an open file.
    pub(super) fn of(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file, unwritten: Vec::new(), lost_lines: 0 }
    }

    /// Lets these bytes stand before the next line.
    pub(super) fn after(mut self, bytes: &[u8]) -> Self {
        self.unwritten.extend_from_slice(bytes);
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line that ends with its newline, or nothing.
    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        if self.unwritten.len() + line.len() > UNWRITTEN_BYTES_LIMIT.max(line.len()) {
            self.lost_lines += 1;
            return Err(io::Error::other("too much is unwritten; this line is lost"));
        }
        self.unwritten.extend_from_slice(line.as_bytes());
        self.write()
    }

    /// The last try for what could not be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        match self.lost_lines {
            0 => Ok(()),
            lost => Err(io::Error::other(format!("{lost} of its lines are lost"))),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            match self.file.write(&self.unwritten) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn refusal(&self, error: &io::Error) -> CommandError {
        refusal(&self.path, error)
    }
}

impl fmt::Display for LineLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())
    }
}

/// Opens a log to read and to append to, for this process alone.
pub(super) fn open(path: &Path, may_create: bool) -> Result<File, CommandError> {
    let is_special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let file = OpenOptions::new()
        // A pipe that was opened to be read, too, would never tell that its reader is gone.
        .read(!is_special)
        .append(true)
        .create(may_create)
        .open(path)
        .map_err(|error| refusal(path, &error))?;
    match file.try_lock() {
        // Not every file can be locked; then no other process has it locked either.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CommandError::usage(format!(
            "{} is being written by another ccx; wait for it, or name another file",
            path.display()
        ))),
    }
}

fn refusal(path: &Path, error: &io::Error) -> CommandError {
    CommandError::usage(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        (folder, path)
    }

    #[test]
    fn a_line_is_in_the_file_when_append_returns() {
        let (_folder, path) = path();
        let mut log = LineLog::create(&path, "header\n").unwrap();
        log.append("one\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "header\none\n");
    }

    #[test]
    fn a_log_that_has_lines_is_never_overwritten() {
        let (_folder, path) = path();
        fs::write(&path, "of last night\n").unwrap();
        let refusal = LineLog::create(&path, "header\n").unwrap_err();
        assert!(refusal.to_string().contains("--resume"), "{refusal}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "of last night\n");
    }

    #[test]
    fn a_torn_last_line_is_closed_before_the_next_one() {
        let (_folder, path) = path();
        fs::write(&path, "one\ntw").unwrap();
        LineLog::go_on(&path).unwrap().append("three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
    }

    #[test]
    fn two_batches_cannot_write_one_log() {
        let (_folder, path) = path();
        let _first = LineLog::create(&path, "").unwrap();
        assert!(LineLog::create(&path, "").unwrap_err().to_string().contains("another ccx"));
    }

    #[test]
    fn what_a_full_disk_refuses_is_kept_and_said() {
        // The one file that is always full.
        let Ok(file) = OpenOptions::new().append(true).open("/dev/full") else { return };
        let mut log = LineLog::of(Path::new("/dev/full"), file);
        assert!(log.append("one\n").is_err());
        assert!(log.append("two\n").is_err());
        let (_folder, path) = path();
        log.file = open(&path, true).unwrap();
        log.append("three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        log.finish().unwrap();
    }
}
