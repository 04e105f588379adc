//! The record: one numbered event of a task as bytes, the same in the task log and on the event pipe.
//!
//! Because both places hold the same bytes, a position in the log is a position in the stream.

//!
//! - [`Record`] is one event, or several lines, with its number and time.
//! - `lines` packs lines that were read together into one record; `output` is a line alone, or a piece of one.
//! - `frame` is the layout of the bytes.

mod lines;

mod output;

mod frame;

use bytes::{Buf, Bytes, BytesMut};
use cc_events::Event;

use crate::notice::Notice;

use frame::{
    FLAG_LAST, FLAG_LINES, FLAG_PIECE, FLAG_TRUNCATED, KIND_EVENT, KIND_NOTICE, KIND_STDERR,
    KIND_STDOUT, PREFIX_BYTES,
};
pub use frame::{
    HEADER_BYTES, LOG_MAGIC, RECORD_BYTES_LIMIT, RecordError, SEQ_LIMIT, frame_bytes, peek_seqs,
    verified_frame_bytes,
};
pub use lines::{Lines, PACKED_BYTES_LIMIT, Packer};
pub use output::{Output, PIECE_BYTES_LIMIT, Piece, Stream, encode_output};

/// A notice, or one entry of the task log (or several lines, packed).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// From 1 without gaps; 0 for a notice. Of packed lines: of the first one.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What is recorded.
    pub body: Body,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A line or a piece of one.
    Output(Output),
    /// Several whole lines, each with a seq of its own.
    Lines(Lines),
    /// Something else that happened to the task.
    Event(Event),
    /// Something that the worker tells its supervisor and does not log.
    Notice(Notice),
}

impl Record {
    /// The seq of the last event in it: its own, or that of the last packed line.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        match &self.body {
            Body::Lines(lines) => frame::last_of(self.seq, lines.count()),
            Body::Output(_) | Body::Event(_) | Body::Notice(_) => self.seq,
        }
    }

    /// The same events, each line in a record of its own.
    pub fn one_by_one(self) -> impl Iterator<Item = Self> {
        let Self { seq, time_ms, body } = self;
        let (lines, single) = match body {
            Body::Lines(lines) => (Some(lines), None),
            body @ (Body::Output(_) | Body::Event(_) | Body::Notice(_)) => {
                (None, Some(Self { seq, time_ms, body }))
            }
        };
        let outputs = lines.into_iter().flat_map(Lines::into_outputs);
        let of_lines = (seq..=SEQ_LIMIT).zip(outputs).map(move |(seq, output)| Self {
            seq,
            time_ms,
            body: Body::Output(output),
        });
        of_lines.chain(single)
    }

    /// Appends the record's bytes to `buffer`.
    ///
    /// # Errors
    /// Only if an event cannot be written as JSON, which its types exclude.
    pub fn encode(&self, buffer: &mut Vec<u8>) -> Result<(), RecordError> {
        match &self.body {
            Body::Output(output) => {
                encode_output(
                    buffer,
                    self.seq,
                    self.time_ms,
                    output.stream,
                    output.piece,
                    output.truncated,
                    &output.data,
                );
                Ok(())
            }
            Body::Lines(lines) => {
                lines::encode_lines(buffer, self.seq, self.time_ms, lines);
                Ok(())
            }
            Body::Event(event) => frame::encode_json(
                buffer,
                self.seq,
                self.time_ms,
                KIND_EVENT,
                &serde_json::to_vec(event)?,
            ),
            Body::Notice(notice) => frame::encode_json(
                buffer,
                0,
                self.time_ms,
                KIND_NOTICE,
                &serde_json::to_vec(notice)?,
            ),
        }
    }
}

/// Takes the first record off `buffer`, or returns `None` while more bytes are needed. Output data
/// shares the buffer's memory.
///
/// # Errors
/// When the bytes are no record: the buffer is then left as it is. When the record is of an unknown
/// kind or its payload is not understood: it has been taken off, and the next one can be read.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Record>, RecordError> {
    let Some(total) = frame_bytes(buffer)? else { return Ok(None) };
    let frame = buffer.split_to(total).freeze();
    decode_frame(frame).map(Some)
}

/// Reads one whole frame whose length and checksum [`frame_bytes`] has verified.
///
/// # Errors
/// When the kind is unknown, the seq is impossible or the payload is not understood.
pub fn decode_frame(mut frame: Bytes) -> Result<Record, RecordError> {
    let total = frame.len();
    if total < HEADER_BYTES {
        return Err(RecordError::Length(u32::try_from(total).unwrap_or(u32::MAX)));
    }
    frame::check_seqs(&frame)?;
    frame.advance(PREFIX_BYTES);
    let seq = frame.get_u64_le();
    let time_ms = frame.get_u64_le();
    let kind = frame.get_u8();
    let flags = frame.get_u8();
    frame.advance(2);
    let index = frame.get_u32_le();
    let stream = if kind == KIND_STDERR { Stream::Stderr } else { Stream::Stdout };
    let body = match kind {
        KIND_STDOUT | KIND_STDERR if flags & FLAG_LINES != 0 => {
            Body::Lines(Lines::new(stream, index, frame)?)
        }
        KIND_STDOUT | KIND_STDERR => Body::Output(Output {
            stream,
            piece: (flags & FLAG_PIECE != 0)
                .then_some(Piece { index, last: flags & FLAG_LAST != 0 }),
            truncated: flags & FLAG_TRUNCATED != 0,
            data: frame,
        }),
        KIND_EVENT => Body::Event(serde_json::from_slice(&frame)?),
        KIND_NOTICE => Body::Notice(serde_json::from_slice(&frame)?),
        unknown => return Err(RecordError::Kind(unknown)),
    };
    Ok(Record { seq, time_ms, body })
}

#[cfg(test)]
mod tests;
