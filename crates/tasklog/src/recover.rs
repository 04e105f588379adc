//! Makes a log whole whose writer is dead, and says what it holds.
//!
//! The supervisor calls this when a worker has died without a terminal event, and for the logs that
//! it finds when it starts. Cuts what is no gapless sequence of verified records, and nothing else;
//! a record that a newer version wrote is whole and stays. What is cut may hold good records behind a
//! damaged one, so it is kept in a file of its own. Must not be called while the log's writer is alive: it
//! would cut a record that is just being written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use cc_events::Started;

use crate::{
    damaged::{Cut, Kept, keep},
    error::LogError,
    frames::{Beginning, FIRST_RECORD_OFFSET, at, beginning},
    open::open,
    splitter::StreamCounts,
    summary::scan,
    writer::LAST_EVENTS_BYTES,
};

#[cfg(test)]
pub(crate) mod tests;

/// What a recovered log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Of the last record; 0 when there is none.
    pub last_seq: u64,
    /// Where the next record belongs: for [`crate::LogWriter::reopen`].
    pub end_offset: u64,
    /// Of the last record, milliseconds since the Unix epoch; 0 when there is none.
    pub last_time_ms: u64,
    /// The task's start, where it is recorded.
    pub started: Option<Started>,
    /// When that was, milliseconds since the Unix epoch.
    pub started_time_ms: Option<u64>,
    /// The terminal event is there: the log is complete.
    pub completed: bool,
    /// Output of both streams in the log; what was dropped or held back is not in it.
    pub output: StreamCounts,
    /// What was cut off; `None` for a log that was whole.
    pub cut: Option<Cut>,
}

/// Verifies a log from its beginning, cuts off a torn or damaged tail, and says what is left.
///
/// # Errors
/// [`LogError::NotALog`] when the file is something else, which is then left as it is;
/// [`LogError::Io`].
pub fn recover(path: &Path) -> Result<Recovered, LogError> {
    let file = open(path, OpenOptions::new().read(true).append(true)).map_err(at(path))?;
    match beginning(&file).map_err(at(path))? {
        Beginning::Log => recover_records(&file, path).map_err(at(path)),
        Beginning::Unfinished { missing } => begin_again(&file, missing).map_err(at(path)),
        Beginning::Other => Err(LogError::NotALog { path: path.to_path_buf() }),
    }
}

/// The writer died while it created the log.
fn begin_again(mut file: &File, missing: &[u8]) -> io::Result<Recovered> {
    file.write_all(missing)?;
    Ok(Recovered { end_offset: FIRST_RECORD_OFFSET, ..Recovered::default() })
}

fn recover_records(file: &File, path: &Path) -> io::Result<Recovered> {
    let found = scan(file)?;
    let cut = (found.torn_bytes > 0).then(|| Cut {
        bytes: found.torn_bytes,
        // The log needs its terminal event more than what was cut off it.
        kept: keep(file, found.end_offset, path).unwrap_or_else(|error| Kept::Lost(error.kind())),
    });
    let stored_bytes = file.metadata()?.blocks().saturating_mul(512);
    // A dead writer may also have left the space that it had taken ahead.
    if cut.is_some() || stored_bytes >= found.end_offset + LAST_EVENTS_BYTES {
        file.set_len(found.end_offset)?;
    }
    Ok(Recovered {
        last_seq: found.last_seq,
        end_offset: found.end_offset,
        last_time_ms: found.last_time_ms,
        started: found.started,
        started_time_ms: found.started_time_ms,
        completed: found.completed.is_some(),
        output: found.output,
        cut,
    })
}
