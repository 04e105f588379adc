//! A window over a log file that moves from record to record, for [`crate::reader`], [`summary`](mod@crate::summary) and
//! [`recover`](mod@crate::recover). Verifies every record; never writes, never judges a seq.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use bytes::{Bytes, BytesMut};
use cc_link::record::{LOG_MAGIC, RecordError, frame_bytes};

use crate::error::LogError;

/// Where the first record of a task log is.
pub const FIRST_RECORD_OFFSET: u64 = LOG_MAGIC.len() as u64;

/// Bytes read at once. The window holds at most this and one record.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// The part of a log from one record on, as far as it has been read.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    file: &'a File,
    /// When the window was opened: what is appended later is left to the next window.
    file_bytes: u64,
    block_bytes: usize,
    /// Of the first byte in `buffer`.
    offset: u64,
    buffer: BytesMut,
}

/// What is at a place in the window.
#[derive(Debug)]
pub(crate) enum Place {
    /// A verified record of this many bytes.
    Frame(usize),
    /// The beginning of a record, or nothing: read more.
    Unfinished,
    /// The last record of the file is not what was written.
    TornEnd,
    /// No record, although the file continues.
    Damage(RecordError),
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A verified record.
    Frame(Bytes),
    /// The end, or a torn tail.
    End,
    /// No record, although the file continues.
    Damage(RecordError),
}

impl<'a> Frames<'a> {
    /// A window at `offset` that reads so many bytes at once. Nothing is read yet.
    pub(crate) fn open(file: &'a File, offset: u64, block_bytes: usize) -> io::Result<Self> {
        let file_bytes = file.metadata()?.len();
        Ok(Self { file, file_bytes, block_bytes, offset, buffer: BytesMut::new() })
    }

    /// Where [`Self::next`] stands.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Moves over the next record.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        loop {
            match self.place(0) {
                Place::Frame(bytes) => {
                    self.offset += bytes as u64;
                    return Ok(Next::Frame(self.buffer.split_to(bytes).freeze()));
                }
                Place::Unfinished if self.read_more()? => {}
                Place::Unfinished | Place::TornEnd => return Ok(Next::End),
                Place::Damage(error) => return Ok(Next::Damage(error)),
            }
        }
    }

    /// What is `at` bytes behind the start of the window.
    pub(crate) fn place(&self, at: usize) -> Place {
        let bytes = &self.buffer[at..];
        match frame_bytes(bytes) {
            Ok(Some(bytes)) => Place::Frame(bytes),
            Ok(None) => Place::Unfinished,
            Err(error @ RecordError::Checksum { .. }) => {
                let length = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
                let end = self.offset + at as u64 + 8 + u64::from(length);
                if end >= self.file_bytes { Place::TornEnd } else { Place::Damage(error) }
            }
            Err(error) => Place::Damage(error),
        }
    }

    /// Adds a block to the window; false at the end of the file.
    pub(crate) fn read_more(&mut self) -> io::Result<bool> {
        let start = self.buffer.len();
        let position = self.offset + start as u64;
        let left = self.file_bytes.saturating_sub(position);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.block_bytes);
        self.buffer.resize(start + want, 0);
        let read = loop {
            match self.file.read_at(&mut self.buffer[start..], position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        read.map(|bytes| bytes > 0)
    }

    /// The first bytes of the window, which hold whole records.
    pub(crate) fn take(mut self, bytes: usize) -> Bytes {
        self.buffer.split_to(bytes).freeze()
    }
}

/// How a file begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// As a task log.
    Log,
    /// As a task log, but this is missing of the magic.
    Unfinished {
        missing: &'static [u8],
    },
    Other,
}

pub(crate) fn beginning(file: &File) -> io::Result<Beginning> {
    let mut found = [0; LOG_MAGIC.len()];
    let mut length = 0;
    while length < found.len() {
        match file.read_at(&mut found[length..], length as u64) {
            Ok(0) => break,
            Ok(bytes) => length += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(match LOG_MAGIC.strip_prefix(&found[..length]) {
        Some([]) => Beginning::Log,
        Some(missing) => Beginning::Unfinished { missing },
        None => Beginning::Other,
    })
}

/// Names the log in an error of the system.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> LogError + '_ {
    |source| LogError::Io { path: path.to_path_buf(), source }
}
