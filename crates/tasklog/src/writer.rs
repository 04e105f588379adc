//! Appends records to a task log.
//!
//! Owns the file while its task runs: there is one writer a log, the worker, or after its death the
//! supervisor, which adds the terminal event. Never reads, and never looks into the records.
//!
//! What is appended survives the death of every process, not that of the machine: nothing waits for
//! the disk. A tail that a crash has torn is found by its checksum and cut by [`crate::recover()`].

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use cc_link::record::LOG_MAGIC;

/// A task log, open for appending.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    offset: u64,
    /// A failed append may have left bytes after `offset`.
    is_torn: bool,
}

impl LogWriter {
    /// Creates the log, readable by its owner alone.
    ///
    /// # Errors
    /// When something is at `path` already, or the system refuses; a full disk among them.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let mut writer = Self { file, offset: 0, is_torn: false };
        writer.append(&LOG_MAGIC)?;
        Ok(writer)
    }

    /// Opens a log whose writer is dead, at the end that [`crate::recover()`] has found.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the log does not end at `end_offset`: then its writer is
    /// alive. Otherwise what the system says.
    pub fn reopen(path: &Path, end_offset: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        let length = file.metadata()?.len();
        if length != end_offset {
            let text = format!(
                "task log ends at {length}, not at {end_offset}: end its writer and recover it"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self { file, offset: end_offset, is_torn: false })
    }

    /// Appends whole records, all of them or none.
    ///
    /// # Errors
    /// When not everything could be written, as on a full disk. What was written of it is cut off
    /// again, now or before the next append, and until then readers take it for the end of the log.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.cut_torn_tail()?;
        if let Err(error) = self.file.write_all(frames) {
            self.is_torn = true;
            // Tried again before the next append; the first error says more.
            drop(self.cut_torn_tail());
            return Err(error);
        }
        self.offset += frames.len() as u64;
        Ok(())
    }

    /// Where the next record will be.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn cut_torn_tail(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.offset)?;
            self.is_torn = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{LogReader, recover};
    use cc_link::record::{Stream, encode_output};

    fn frame(seq: u64, data: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode_output(&mut frame, seq, 1, Stream::Stdout, None, false, data);
        frame
    }

    #[test]
    fn a_log_is_private_and_never_replaces_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let writer = LogWriter::create(&path).unwrap();
        assert_eq!(writer.offset(), crate::FIRST_RECORD_OFFSET);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = LogWriter::create(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_log_that_is_still_written_to_cannot_be_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::create(&path).unwrap();
        let end_offset = recover(&path).unwrap().end_offset;
        writer.append(&frame(1, b"alive\n")).unwrap();
        let error = LogWriter::reopen(&path, end_offset).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn after_a_short_write_the_torn_tail_is_gone_and_appending_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::create(&path).unwrap();
        writer.append(&frame(1, b"one\n")).unwrap();
        // As a full disk leaves it: half of a record is there, and the append has failed.
        writer.file.write_all(&frame(2, b"lost\n")[..20]).unwrap();
        writer.is_torn = true;
        let mut reader = LogReader::open(&path).unwrap();
        assert_eq!(reader.read(crate::FIRST_RECORD_OFFSET, 1000).unwrap(), frame(1, b"one\n"));
        writer.append(&frame(2, b"two\n")).unwrap();
        let both = [frame(1, b"one\n"), frame(2, b"two\n")].concat();
        assert_eq!(reader.read(crate::FIRST_RECORD_OFFSET, 1000).unwrap(), both);
    }
}
