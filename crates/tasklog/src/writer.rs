//! Appends records to a task log.
//!
//! Owns the file while its task runs: there is one writer a log, the worker, or after its death the
//! supervisor, which adds the terminal event. Never reads, and never looks into the records.
//!
//! What is appended survives the death of every process, and with [`Fsync::Always`] that of the machine;
//! otherwise nothing waits for the disk. A tail that a crash has torn is found by its checksum and cut by
//! [`crate::recover()`].
//!
//! Space is taken ahead of what is written, in steps. So a full disk is noticed while there is still room for
//! the last events, which say so: [`LogWriter::append`] fails before it uses that room up, and
//! [`LogWriter::append_last`] uses it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use cc_link::{record::LOG_MAGIC, spec::Fsync};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::open::open;

/// Room that is kept for the last events, at least.
pub const LAST_EVENTS_BYTES: u64 = 64 * 1024;
/// Space is taken in steps of this size.
const RESERVE_STEP_BYTES: u64 = 128 * 1024;

/// A task log, open for appending.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    offset: u64,
    /// A failed append may have left bytes after `offset`.
    is_torn: bool,
    reserve: Reserve,
    fsync: Fsync,
}

/// Space beyond the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reserve {
    /// The file has its space up to this offset.
    Until(u64),
    /// No space is taken ahead: the file system cannot, or the log was reopened for its last event.
    None,
}

impl LogWriter {
    /// Creates the log, readable by its owner alone.
    ///
    /// # Errors
    /// When something is at `path` already, or the system refuses; a full disk among them.
    pub fn create(path: &Path, fsync: Fsync) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        let reserve = Reserve::Until(0);
        let mut writer = Self { file, offset: 0, is_torn: false, reserve, fsync };
        writer.append(&LOG_MAGIC)?;
        if fsync == Fsync::Always {
            sync_names(path)?;
        }
        Ok(writer)
    }

    /// Opens a log whose writer is dead, at the end that [`crate::recover()`] has found. Takes no space ahead:
    /// what is left to append is the terminal event.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the log does not end at `end_offset`: then its writer is
    /// alive. Otherwise what the system says.
    pub fn reopen(path: &Path, end_offset: u64, fsync: Fsync) -> io::Result<Self> {
        let file = open(path, OpenOptions::new().append(true))?;
        let length = file.metadata()?.len();
        if length != end_offset {
            let text = format!(
                "task log ends at {length}, not at {end_offset}: end its writer and recover it"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self { file, offset: end_offset, is_torn: false, reserve: Reserve::None, fsync })
    }

    /// Appends whole records, all of them or none.
    ///
    /// # Errors
    /// When not everything could be written, as on a full disk, or when it would leave less room than
    /// [`LAST_EVENTS_BYTES`] for what comes after. What was written of it is cut off again, now or before the
    /// next append, and until then readers take it for the end of the log.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.take_space(self.offset + frames.len() as u64 + LAST_EVENTS_BYTES)?;
        self.write(frames)
    }

    /// Appends whole records to a log that [`LogWriter::append`] has failed for, in the room that was kept.
    /// False, and nothing is written, when that would leave less than `spare_bytes` of it.
    ///
    /// # Errors
    /// As [`LogWriter::append`], where no room could be kept.
    pub fn append_last(&mut self, frames: &[u8], spare_bytes: u64) -> io::Result<bool> {
        let end = self.offset + frames.len() as u64 + spare_bytes;
        match self.reserve {
            // Without anything to spare nothing is lost by trying.
            Reserve::Until(until) if spare_bytes > 0 && until < end => Ok(false),
            Reserve::Until(_) | Reserve::None => self.write(frames).map(|()| true),
        }
    }

    /// Gives back the space that was taken ahead, when nothing more is appended. This can take milliseconds on a busy disk,
    /// so it belongs after everything that a client waits for.
    ///
    /// # Errors
    /// As ftruncate(2). The log itself is whole nonetheless.
    pub fn give_back(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.reserve, Reserve::None) {
            Reserve::Until(until) if until > self.offset => self.file.set_len(self.offset),
            Reserve::Until(_) | Reserve::None => Ok(()),
        }
    }

    /// Makes the file have its space up to `end`, and a step further so that this is rarely needed.
    fn take_space(&mut self, end: u64) -> io::Result<()> {
        let Reserve::Until(until) = self.reserve else { return Ok(()) };
        if until >= end {
            return Ok(());
        }
        let new_until = end + RESERVE_STEP_BYTES;
        loop {
            match fallocate(&self.file, FallocateFlags::KEEP_SIZE, until, new_until - until) {
                Ok(()) => {
                    self.reserve = Reserve::Until(new_until);
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => {
                    return Err(error.into());
                }
                // A file system that cannot: what is written finds its room or does not.
                Err(_) => {
                    self.reserve = Reserve::None;
                    return Ok(());
                }
            }
        }
    }

    fn write_and_sync(&mut self, frames: &[u8]) -> io::Result<()> {
        self.file.write_all(frames)?;
        match self.fsync {
            Fsync::Never => Ok(()),
            Fsync::Always => self.file.sync_data(),
        }
    }

    fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.cut_torn_tail()?;
        if let Err(error) = self.write_and_sync(frames) {
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
            if let Reserve::Until(_) = self.reserve {
                // It was cut off with the rest.
                self.reserve = Reserve::Until(self.offset);
            }
        }
        Ok(())
    }
}

/// A file whose name is not on the disk is lost with what it holds: the log in its task's directory, and that
/// one in the directory of all tasks.
fn sync_names(path: &Path) -> io::Result<()> {
    for directory in path.ancestors().skip(1).take(2) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
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
        let writer = LogWriter::create(&path, Fsync::Never).unwrap();
        assert_eq!(writer.offset(), crate::FIRST_RECORD_OFFSET);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = LogWriter::create(&path, Fsync::Never).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_log_that_is_still_written_to_cannot_be_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::create(&path, Fsync::Never).unwrap();
        let end_offset = recover(&path).unwrap().end_offset;
        writer.append(&frame(1, b"alive\n")).unwrap();
        let error = LogWriter::reopen(&path, end_offset, Fsync::Never).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn space_is_taken_ahead_without_changing_what_readers_see_and_given_back() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::create(&path, Fsync::Never).unwrap();
        writer.append(&frame(1, b"one\n")).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), writer.offset());
        if writer.reserve == Reserve::None {
            eprintln!("SKIPPED: the file system takes no space ahead");
            return;
        }
        assert!(metadata.blocks() * 512 >= LAST_EVENTS_BYTES);
        // What a dead writer has left is given back by the recovery of its log.
        recover(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < LAST_EVENTS_BYTES);
        assert_eq!(fs::metadata(&path).unwrap().len(), writer.offset());
        writer.append(&frame(2, &vec![b'x'; 1 << 20])).unwrap();
        writer.give_back().unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), writer.offset());
        assert!(metadata.blocks() * 512 < metadata.len() + LAST_EVENTS_BYTES);
        assert_eq!(recover(&path).unwrap().last_seq, 2);
    }

    #[test]
    fn the_last_events_find_room_where_nothing_else_does_and_leave_some_for_the_very_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::create(&path, Fsync::Never).unwrap();
        // As a disk on which no further space can be had.
        writer.reserve = Reserve::Until(writer.offset() + 200);
        let event = frame(1, &[b'e'; 60]);
        assert!(!writer.append_last(&event, 200).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), writer.offset());
        assert!(writer.append_last(&event, 100).unwrap());
        assert!(!writer.append_last(&frame(2, &[b'e'; 60]), 100).unwrap());
        assert!(writer.append_last(&frame(2, b"the very last"), 0).unwrap());
        assert_eq!(recover(&path).unwrap().last_seq, 2);
    }

    #[test]
    fn after_a_short_write_the_torn_tail_is_gone_and_appending_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = LogWriter::create(&path, Fsync::Never).unwrap();
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
