//! Makes a log whole whose writer is dead, and says what it holds.
//!
//! The supervisor calls this when a worker has died without a terminal event, and for the logs that
//! it finds when it starts. Cuts what is no gapless sequence of verified records, and nothing else;
//! a record that a newer version wrote is whole and stays. Must not be called while the log's
//! writer is alive: it would cut a record that is just being written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use bytes::Bytes;
use cc_link::{
    event::{Event, Started},
    record::{Body, HEADER_BYTES, LOG_MAGIC, decode_frame, peek_seq},
};

use crate::{
    FIRST_RECORD_OFFSET, LogError,
    frames::{BLOCK_BYTES, Beginning, Frames, Next, at, beginning},
    splitter::StreamCounts,
};

#[cfg(test)]
mod tests;

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
    /// What was cut off; 0 for a log that was whole.
    pub cut_bytes: u64,
}

/// Verifies a log from its beginning, cuts off a torn or damaged tail, and says what is left.
///
/// # Errors
/// [`LogError::NotALog`] when the file is something else, which is then left as it is;
/// [`LogError::Io`].
pub fn recover(path: &Path) -> Result<Recovered, LogError> {
    let file = OpenOptions::new().read(true).append(true).open(path).map_err(at(path))?;
    match beginning(&file).map_err(at(path))? {
        Beginning::Log => recover_records(&file).map_err(at(path)),
        Beginning::Unfinished { missing_bytes } => {
            begin_again(&file, missing_bytes).map_err(at(path))
        }
        Beginning::Other => Err(LogError::NotALog { path: path.to_path_buf() }),
    }
}

/// The writer died while it created the log.
fn begin_again(mut file: &File, missing_bytes: usize) -> io::Result<Recovered> {
    file.write_all(&LOG_MAGIC[LOG_MAGIC.len() - missing_bytes..])?;
    Ok(Recovered { end_offset: FIRST_RECORD_OFFSET, ..Recovered::default() })
}

fn recover_records(file: &File) -> io::Result<Recovered> {
    let mut recovered = Recovered { end_offset: FIRST_RECORD_OFFSET, ..Recovered::default() };
    let mut frames = Frames::open(file, FIRST_RECORD_OFFSET, BLOCK_BYTES)?;
    while let Next::Frame(frame) = frames.next()? {
        if peek_seq(&frame) != recovered.last_seq + 1 {
            break;
        }
        recovered.last_seq += 1;
        recovered.end_offset = frames.offset();
        recovered.last_time_ms = time_ms(&frame);
        note(&mut recovered, frame);
    }
    let length = file.metadata()?.len();
    recovered.cut_bytes = length.saturating_sub(recovered.end_offset);
    if recovered.cut_bytes > 0 {
        file.set_len(recovered.end_offset)?;
    }
    Ok(recovered)
}

/// Adds what a record says. One that is not understood is from a newer version: it stays unread.
fn note(recovered: &mut Recovered, frame: Bytes) {
    let Ok(record) = decode_frame(frame) else { return };
    match record.body {
        Body::Output(output) => {
            let ends_line = output.piece.is_none_or(|piece| piece.last);
            recovered.output.lines += u64::from(ends_line);
            recovered.output.bytes += output.data.len() as u64;
            recovered.output.truncated_lines += u64::from(output.truncated);
        }
        Body::Event(Event::Started(started)) => {
            recovered.started = Some(started);
            recovered.started_time_ms = Some(record.time_ms);
        }
        Body::Event(Event::Completed(_)) => recovered.completed = true,
        Body::Event(
            Event::Paused
            | Event::Resumed
            | Event::Canceled { .. }
            | Event::OutputDropped(_)
            | Event::ClaudeRetrying(_)
            | Event::RateLimited(_)
            | Event::TokenLimited(_)
            | Event::ClaudeResult(_),
        )
        | Body::Notice(_) => {}
    }
}

/// Of a verified record, also one of an unknown kind.
fn time_ms(frame: &[u8]) -> u64 {
    frame
        .get(16..HEADER_BYTES)
        .and_then(|bytes| bytes.first_chunk::<8>())
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
