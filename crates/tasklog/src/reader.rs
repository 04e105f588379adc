//! Reads a task log from any record on, also while it is being written.
//!
//! The cursor itself is the caller's: an offset, which is a position in the log and costs nothing
//! to keep. This module turns it into verified records. Never writes, never waits for more: the
//! supervisor asks again when the worker has said that there is more.

use std::{
    fs::File,
    io::IoSliceMut,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use cc_link::record::{HEADER_BYTES, frame_bytes, peek_seqs};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::{
    error::LogError,
    frames::{BLOCK_BYTES, Beginning, FIRST_RECORD_OFFSET, Frames, Next, Place, at, beginning},
    open::for_reading,
};

#[cfg(test)]
mod tests;

/// A task log, open for reading.
#[derive(Debug)]
pub struct LogReader {
    file: File,
    path: PathBuf,
}

impl LogReader {
    /// Opens a log, which may still be empty.
    ///
    /// # Errors
    /// [`LogError::Io`] when it cannot be read, [`LogError::NotALog`] when it is something else.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let file = for_reading(path).map_err(at(path))?;
        match beginning(&file).map_err(at(path))? {
            Beginning::Log | Beginning::Unfinished { .. } => {
                Ok(Self { file, path: path.to_path_buf() })
            }
            Beginning::Other => Err(LogError::NotALog { path: path.to_path_buf() }),
        }
    }

    /// Whole, verified records from `offset` on: as many as fit `bytes_limit` and one read, but at
    /// least one if there is one. Empty at the end of the log; a torn tail is such an end.
    ///
    /// The first record is at [`FIRST_RECORD_OFFSET`]; the next offset is `offset` and the length
    /// of what was returned.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when there is no record at `offset`, although the file continues after
    /// it; [`LogError::Io`].
    pub fn read(&mut self, offset: u64, bytes_limit: usize) -> Result<Bytes, LogError> {
        let block_bytes = bytes_limit.clamp(HEADER_BYTES, BLOCK_BYTES);
        let mut frames = Frames::open(&self.file, offset, block_bytes).map_err(at(&self.path))?;
        let mut whole = 0;
        loop {
            match frames.place(whole) {
                Place::Frame(bytes) if whole == 0 || whole + bytes <= bytes_limit => whole += bytes,
                Place::Unfinished
                    if whole == 0 && frames.read_more().map_err(at(&self.path))? => {}
                Place::Damage(source) if whole == 0 => {
                    return Err(LogError::Damaged { path: self.path.clone(), offset, source });
                }
                Place::Frame(_) | Place::Unfinished | Place::TornEnd | Place::Damage(_) => {
                    return Ok(frames.take(whole));
                }
            }
        }
    }

    /// As [`Self::read`], if that need not wait for a disk. `None` where it would have to, where there is nothing to read,
    /// and where something is wrong, which [`Self::read`] reports.
    #[must_use]
    pub fn read_cached(&self, offset: u64, bytes_limit: usize) -> Option<Bytes> {
        let mut block = vec![0; bytes_limit.clamp(HEADER_BYTES, BLOCK_BYTES)];
        let buffers = &mut [IoSliceMut::new(&mut block)];
        let read = preadv2(&self.file, buffers, offset, ReadWriteFlags::NOWAIT).ok()?;
        let mut whole = 0;
        while let Ok(Some(bytes)) = frame_bytes(&block[whole..read])
            && (whole == 0 || whole + bytes <= bytes_limit)
        {
            whole += bytes;
        }
        block.truncate(whole);
        (whole > 0).then(|| block.into())
    }

    /// Where to read on after the event with this seq; 0 asks for the first record. That is where its record
    /// ends, or where it begins if further lines are packed into it: the lines up to `seq` are to be skipped
    /// there. `None` when the log does not hold this seq. Looks at every record before it.
    ///
    /// # Errors
    /// [`LogError::Damaged`] or [`LogError::SeqGap`] when the log is damaged before it;
    /// [`LogError::Io`].
    pub fn position_after(&mut self, seq: u64) -> Result<Option<u64>, LogError> {
        self.position_after_from((0, FIRST_RECORD_OFFSET), seq)
    }

    /// As [`Self::position_after`], looking only at the records between a known point and the one asked for:
    /// `known` is a seq and where its record ends, the last of a record. `None` also for a seq before the known
    /// one: ask from an earlier point.
    ///
    /// # Errors
    /// As [`Self::position_after`], for damage after the known point; also when there is no such point.
    pub fn position_after_from(
        &mut self,
        known: (u64, u64),
        seq: u64,
    ) -> Result<Option<u64>, LogError> {
        let (mut passed_seq, known_offset) = known;
        if seq < passed_seq {
            return Ok(None);
        }
        let mut frames =
            Frames::open(&self.file, known_offset, BLOCK_BYTES).map_err(at(&self.path))?;
        while passed_seq < seq {
            let offset = frames.offset();
            let expected = passed_seq + 1;
            match frames.next().map_err(at(&self.path))? {
                Next::Frame(frame) => {
                    let (found, last_seq) = peek_seqs(&frame);
                    if found != expected {
                        let path = self.path.clone();
                        return Err(LogError::SeqGap { path, offset, expected, found });
                    }
                    if last_seq > seq {
                        return Ok(Some(offset));
                    }
                    passed_seq = last_seq;
                }
                Next::End => return Ok(None),
                Next::Damage(source) => {
                    return Err(LogError::Damaged { path: self.path.clone(), offset, source });
                }
            }
        }
        Ok(Some(frames.offset()))
    }
}
