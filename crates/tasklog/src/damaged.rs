//! Keeps what recovery cuts off a log: behind a damaged record there may be good ones.
//!
//! The file is for people: nothing reads it. It stands beside the log and goes with it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{frames::BLOCK_BYTES, open::open};

/// What was cut off a log because it does not continue it: a torn record, a damaged one, and whatever came behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub bytes: u64,
    /// What became of these bytes.
    pub kept: Kept,
}

/// What became of the bytes that were cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They were zeros, as a crash of the machine leaves them.
    Empty,
    /// They are in this file.
    In(PathBuf),
    /// They could not be kept.
    Lost(io::ErrorKind),
}

/// Where what was cut off a log is kept.
#[must_use]
pub fn damaged_path(log: &Path) -> PathBuf {
    log.with_file_name("log.damaged")
}

/// Copies what follows `offset` to the end of the log's damaged part, unless it is zeros.
///
/// # Errors
/// When it cannot be copied: a full disk among other things.
pub(crate) fn keep(mut log: &File, offset: u64, log_path: &Path) -> io::Result<Kept> {
    if is_zero(log, offset)? {
        return Ok(Kept::Empty);
    }
    let path = damaged_path(log_path);
    let mut options = OpenOptions::new();
    // A log that is damaged again adds to what was cut before.
    let mut damaged = open(&path, options.append(true).create(true).mode(0o600))?;
    let before = damaged.metadata()?.len();
    log.seek(SeekFrom::Start(offset))?;
    // Only what is on the disk may be cut off the log.
    if let Err(error) = io::copy(&mut log, &mut damaged).and_then(|_| damaged.sync_all()) {
        // Half of it would be taken for all of it, and a full disk needs the room.
        drop(damaged.set_len(before));
        return Err(error);
    }
    Ok(Kept::In(path))
}

fn is_zero(log: &File, mut offset: u64) -> io::Result<bool> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match log.read_at(&mut block, offset) {
            Ok(0) => return Ok(true),
            Ok(read) if block[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            Ok(read) => offset += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
