//! Says what a log holds, without changing it.
//!
//! The supervisor calls [`summary`] for the logs of tasks that have ended, when its database does not know
//! how; [`crate::recover()`] uses the same pass over a log that it then makes whole. Never writes.

use std::{fs::File, io, path::Path};

use bytes::Bytes;
use cc_events::{ClaudeResult, Completed, Event, Started};
use cc_link::record::{Body, HEADER_BYTES, decode_frame, peek_seqs};

use crate::{
    error::LogError,
    frames::{BLOCK_BYTES, Beginning, FIRST_RECORD_OFFSET, Frames, Next, at, beginning},
    open::for_reading,
    splitter::StreamCounts,
};

#[cfg(test)]
mod tests;

/// What a log holds up to its end, or up to where it is torn or damaged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Of the last record; 0 when there is none.
    pub last_seq: u64,
    /// Where the last record ends.
    pub end_offset: u64,
    /// Of the last record, milliseconds since the Unix epoch; 0 when there is none.
    pub last_time_ms: u64,
    /// The task's start, where it is recorded.
    pub started: Option<Started>,
    /// When that was, milliseconds since the Unix epoch.
    pub started_time_ms: Option<u64>,
    /// Of a Claude task that came so far.
    pub result: Option<Box<ClaudeResult>>,
    /// The terminal event, where it is recorded: then the log is complete.
    pub completed: Option<Box<Completed>>,
    /// Output of both streams in the log; what was dropped or held back is not in it.
    pub output: StreamCounts,
    /// What follows `end_offset` in the file and is no gapless sequence of records; 0 for a whole log.
    pub torn_bytes: u64,
}

/// Reads a log from its beginning and says what it holds. Of a log that is being written it is what was there
/// at that moment.
///
/// # Errors
/// [`LogError::NotALog`] when the file is something else; [`LogError::Io`].
pub fn summary(path: &Path) -> Result<Summary, LogError> {
    let file = for_reading(path).map_err(at(path))?;
    match beginning(&file).map_err(at(path))? {
        Beginning::Log => scan(&file).map_err(at(path)),
        Beginning::Unfinished { .. } => {
            let torn_bytes = file.metadata().map_err(at(path))?.len();
            Ok(Summary { end_offset: FIRST_RECORD_OFFSET, torn_bytes, ..Summary::default() })
        }
        Beginning::Other => Err(LogError::NotALog { path: path.to_path_buf() }),
    }
}

/// One pass over the records of a file that begins as a log does.
pub(crate) fn scan(file: &File) -> io::Result<Summary> {
    let mut summary = Summary { end_offset: FIRST_RECORD_OFFSET, ..Summary::default() };
    let mut frames = Frames::open(file, FIRST_RECORD_OFFSET, BLOCK_BYTES)?;
    while let Next::Frame(frame) = frames.next()? {
        let (first_seq, last_seq) = peek_seqs(&frame);
        if first_seq != summary.last_seq + 1 {
            break;
        }
        summary.last_seq = last_seq;
        summary.end_offset = frames.offset();
        summary.last_time_ms = time_ms(&frame);
        summary.note(frame);
    }
    summary.torn_bytes = file.metadata()?.len().saturating_sub(summary.end_offset);
    Ok(summary)
}

impl Summary {
    /// Adds what a record says. One that is not understood is from a newer version: it stays unread.
    fn note(&mut self, frame: Bytes) {
        let Ok(record) = decode_frame(frame) else { return };
        match record.body {
            Body::Output(output) => {
                let ends_line = output.piece.is_none_or(|piece| piece.last);
                self.output.lines += u64::from(ends_line);
                self.output.bytes += output.data.len() as u64;
                self.output.truncated_lines += u64::from(output.truncated);
            }
            Body::Lines(lines) => {
                self.output.lines += u64::from(lines.count());
                self.output.bytes += lines.data().len() as u64;
            }
            Body::Event(Event::Started(started)) => {
                self.started = Some(started);
                self.started_time_ms = Some(record.time_ms);
            }
            Body::Event(Event::ClaudeResult(result)) => self.result = Some(result),
            Body::Event(Event::Completed(completed)) => self.completed = Some(completed),
            Body::Event(
                Event::Paused
                | Event::Resumed
                | Event::Canceled { .. }
                | Event::OutputDropped(_)
                | Event::ClaudeRetrying(_)
                | Event::RateLimited(_)
                | Event::TokenLimited(_),
            )
            | Body::Notice(_) => {}
        }
    }
}

/// Of a verified record, also one of an unknown kind.
fn time_ms(frame: &[u8]) -> u64 {
    frame
        .get(16..HEADER_BYTES)
        .and_then(|bytes| bytes.first_chunk::<8>())
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
