//! The record: one numbered event of a task as bytes, the same in the task log and on the event pipe.
//!
//! ```text
//! offset  size
//!      0     4  length of what follows the first 8 bytes (little endian, as all numbers here)
//!      4     4  CRC-32 of what follows the first 8 bytes
//!      8     8  seq, from 1 without gaps; 0 for a notice, which is not part of the log. Of lines that are
//!               packed together: of the first one
//!     16     8  time, milliseconds since the Unix epoch
//!     24     1  kind: 1 stdout, 2 stderr, 3 event (JSON), 128 notice (JSON)
//!     25     1  flags of output: 1 piece of a line, 2 last piece, 4 line was cut at the line limit,
//!               8 several whole lines (since version 2 of the link)
//!     26     2  zero
//!     28     4  index of the piece within its line; of packed lines, their number
//!     32     …  payload
//! ```
//! Because both places hold the same bytes, a position in the log is a position in the stream.

use bytes::{Buf, Bytes, BytesMut};
use cc_events::Event;

use crate::notice::Notice;

mod lines;

pub use lines::{Lines, PACKED_BYTES_LIMIT, Packer};

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 32;
/// Most payload of an output record: a line comes in pieces of at most this size.
pub const PIECE_BYTES_LIMIT: usize = 64 * 1024;
/// Most bytes of a record; anything longer is corruption. Event payloads are bounded by their makers.
pub const RECORD_BYTES_LIMIT: usize = 2 * 1024 * 1024;
/// First bytes of a task log file; records begin after them.
pub const LOG_MAGIC: [u8; 8] = *b"CCXLOG2\n";
/// The same of version 1 of the link, in which no lines are packed.
pub const LOG_MAGIC_1: [u8; 8] = *b"CCXLOG1\n";

/// First bytes of the log of a task whose supervisor and worker speak this version.
#[must_use]
pub fn log_magic(link_version: u32) -> [u8; 8] {
    if link_version <= 1 { LOG_MAGIC_1 } else { LOG_MAGIC }
}

const PREFIX_BYTES: usize = 8;
const KIND_STDOUT: u8 = 1;
const KIND_STDERR: u8 = 2;
const KIND_EVENT: u8 = 3;
const KIND_NOTICE: u8 = 128;
const FLAG_PIECE: u8 = 1;
const FLAG_LAST: u8 = 2;
const FLAG_TRUNCATED: u8 = 4;
const FLAG_LINES: u8 = 8;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// From 1 without gaps; 0 for a notice. Of packed lines: of the first one.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What happened.
    pub body: Body,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A line or a piece of one.
    Output(Output),
    /// Several whole lines, each with a seq of its own.
    Lines(Lines),
    /// Anything else that happened to the task.
    Event(Event),
    /// Worker to supervisor, beside the log.
    Notice(Notice),
}

/// Which of the task's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// The word for it on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A line with its newline, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it was written.
    pub stream: Stream,
    /// `None` for a whole line in one record.
    pub piece: Option<Piece>,
    /// The line was longer than the line limit; its rest is missing.
    pub truncated: bool,
    /// At most [`PIECE_BYTES_LIMIT`] bytes as the task wrote them.
    pub data: Bytes,
}

/// Place of a piece within its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From 0.
    pub index: u32,
    /// No further piece of this line comes.
    pub last: bool,
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The length is impossible.
    #[error("record length {0} is outside 24..={RECORD_BYTES_LIMIT}")]
    Length(u32),
    /// The checksum does not match.
    #[error("record checksum is {found:08x}, computed {computed:08x}")]
    Checksum {
        /// In the record.
        found: u32,
        /// Of its bytes.
        computed: u32,
    },
    /// An unknown kind: written by a newer version.
    #[error("record kind {0} is unknown to this version")]
    Kind(u8),
    /// The payload of an event or notice is not understood.
    #[error("record payload: {0}")]
    Payload(#[from] serde_json::Error),
    /// Packed lines are not as many as the header says.
    #[error("record of {stated} lines has {found}, or ends within one")]
    Lines {
        /// In the header.
        stated: u32,
        /// Newlines.
        found: usize,
    },
}

impl Record {
    /// The seq of the last event in it: its own, or that of the last packed line.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        match &self.body {
            Body::Lines(lines) => last_of(self.seq, lines.count()),
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
        let of_lines = (seq..).zip(outputs).map(move |(seq, output)| Self {
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
                encode_lines(buffer, self.seq, self.time_ms, lines);
                Ok(())
            }
            Body::Event(event) => {
                encode_json(buffer, self.seq, self.time_ms, KIND_EVENT, &serde_json::to_vec(event)?)
            }
            Body::Notice(notice) => {
                encode_json(buffer, 0, self.time_ms, KIND_NOTICE, &serde_json::to_vec(notice)?)
            }
        }
    }
}

/// Appends an output record without copying its data first: the hot path of a worker.
pub fn encode_output(
    buffer: &mut Vec<u8>,
    seq: u64,
    time_ms: u64,
    stream: Stream,
    piece: Option<Piece>,
    truncated: bool,
    data: &[u8],
) {
    let mut flags = if truncated { FLAG_TRUNCATED } else { 0 };
    let mut index = 0;
    if let Some(piece) = piece {
        flags |= FLAG_PIECE | if piece.last { FLAG_LAST } else { 0 };
        index = piece.index;
    }
    encode_raw(buffer, seq, time_ms, [kind_of(stream), flags], index, data);
}

fn encode_lines(buffer: &mut Vec<u8>, seq: u64, time_ms: u64, lines: &Lines) {
    let kind_and_flags = [kind_of(lines.stream()), FLAG_LINES];
    encode_raw(buffer, seq, time_ms, kind_and_flags, lines.count(), lines.data());
}

fn kind_of(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => KIND_STDOUT,
        Stream::Stderr => KIND_STDERR,
    }
}

fn encode_json(
    buffer: &mut Vec<u8>,
    seq: u64,
    time_ms: u64,
    kind: u8,
    payload: &[u8],
) -> Result<(), RecordError> {
    if payload.len() > RECORD_BYTES_LIMIT - HEADER_BYTES {
        return Err(RecordError::Length(u32::try_from(payload.len()).unwrap_or(u32::MAX)));
    }
    encode_raw(buffer, seq, time_ms, [kind, 0], 0, payload);
    Ok(())
}

fn encode_raw(
    buffer: &mut Vec<u8>,
    seq: u64,
    time_ms: u64,
    kind_and_flags: [u8; 2],
    index: u32,
    payload: &[u8],
) {
    let start = begin(buffer, seq, time_ms, kind_and_flags, index);
    buffer.extend_from_slice(payload);
    seal(buffer, start);
}

/// Begins the record of a line, to which more lines may be added. Returns where in `buffer` it begins.
pub(crate) fn begin_line(buffer: &mut Vec<u8>, seq: u64, time_ms: u64, stream: Stream) -> usize {
    begin(buffer, seq, time_ms, [kind_of(stream), 0], 0)
}

/// Completes the record that begins at `start` and reaches to the end of `buffer`: so many whole lines.
pub(crate) fn seal_lines(buffer: &mut [u8], start: usize, count: u32) {
    if count > 1 {
        buffer[start + 25] = FLAG_LINES;
        buffer[start + 28..start + HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
    }
    seal(buffer, start);
}

/// Appends a header without length and checksum, and returns where it begins.
fn begin(
    buffer: &mut Vec<u8>,
    seq: u64,
    time_ms: u64,
    kind_and_flags: [u8; 2],
    index: u32,
) -> usize {
    let start = buffer.len();
    let mut header = [0; HEADER_BYTES];
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..24].copy_from_slice(&time_ms.to_le_bytes());
    header[24..26].copy_from_slice(&kind_and_flags);
    header[28..].copy_from_slice(&index.to_le_bytes());
    buffer.extend_from_slice(&header);
    start
}

/// Writes length and checksum of the record that begins at `start` and reaches to the end of `buffer`.
fn seal(buffer: &mut [u8], start: usize) {
    let frame = &mut buffer[start..];
    let length = (frame.len() - PREFIX_BYTES) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&frame[PREFIX_BYTES..]);
    frame[4..PREFIX_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// The first whole record's length in bytes, or `None` while more bytes are needed.
///
/// # Errors
/// When the length is impossible or the checksum is wrong: the bytes are no record.
pub fn frame_bytes(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let Some(total) = verified_frame_bytes(bytes)? else { return Ok(None) };
    let found = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let computed = crc32fast::hash(&bytes[PREFIX_BYTES..total]);
    if found == computed { Ok(Some(total)) } else { Err(RecordError::Checksum { found, computed }) }
}

/// The same of bytes that [`frame_bytes`] has verified before: the checksum is not computed again.
///
/// # Errors
/// When the length is impossible.
pub fn verified_frame_bytes(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let Some(length) = bytes.first_chunk::<4>().map(|chunk| u32::from_le_bytes(*chunk)) else {
        return Ok(None);
    };
    let total = PREFIX_BYTES.saturating_add(length as usize);
    if !(HEADER_BYTES..=RECORD_BYTES_LIMIT).contains(&total) {
        return Err(RecordError::Length(length));
    }
    Ok((bytes.len() >= total).then_some(total))
}

/// The first and the last seq of a record whose header is whole; 0 and 0 for a notice.
#[must_use]
pub fn peek_seqs(frame: &[u8]) -> (u64, u64) {
    let Some(header) = frame.first_chunk::<HEADER_BYTES>() else { return (0, 0) };
    let number = |bytes: &[u8]| bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
    let seq = number(&header[8..]);
    let is_output = header[24] == KIND_STDOUT || header[24] == KIND_STDERR;
    if is_output && header[25] & FLAG_LINES != 0 {
        let count = u32::from_le_bytes([header[28], header[29], header[30], header[31]]);
        return (seq, last_of(seq, count));
    }
    (seq, seq)
}

/// The last of so many numbers from `seq` on.
fn last_of(seq: u64, count: u32) -> u64 {
    seq.saturating_add(u64::from(count.saturating_sub(1)))
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
/// When the kind is unknown or the payload is not understood.
pub fn decode_frame(mut frame: Bytes) -> Result<Record, RecordError> {
    let total = frame.len();
    if total < HEADER_BYTES {
        return Err(RecordError::Length(u32::try_from(total).unwrap_or(u32::MAX)));
    }
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
