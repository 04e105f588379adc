//! The layout of a record: header, length, checksum. Nothing here knows what a payload means.
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
//!               8 several whole lines
//!     26     2  zero
//!     28     4  index of the piece within its line; of packed lines, their number
//!     32     …  payload
//! ```

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 32;
/// Most bytes of a record; anything longer is corruption. Event payloads are bounded by their makers.
pub const RECORD_BYTES_LIMIT: usize = 2 * 1024 * 1024;
/// Highest seq. Any higher one is corruption. No task comes near it, readers in JavaScript know every number up to it, and
/// what is counted on from it does not overflow.
pub const SEQ_LIMIT: u64 = (1 << 53) - 1;
/// First bytes of a task log file; records begin after them.
pub const LOG_MAGIC: [u8; 8] = *b"CCXLOG1\n";

pub(super) const PREFIX_BYTES: usize = 8;
pub(super) const KIND_STDOUT: u8 = 1;
pub(super) const KIND_STDERR: u8 = 2;
pub(super) const KIND_EVENT: u8 = 3;
pub(super) const KIND_NOTICE: u8 = 128;
pub(super) const FLAG_PIECE: u8 = 1;
pub(super) const FLAG_LAST: u8 = 2;
pub(super) const FLAG_TRUNCATED: u8 = 4;
pub(super) const FLAG_LINES: u8 = 8;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The length is impossible.
    #[error("record length {0} is outside 24..={RECORD_BYTES_LIMIT}")]
    Length(u32),
    /// The checksum does not match.
    #[error("record checksum is {found:08x}, computed {computed:08x}")]
    Checksum {
        /// The one in the record.
        found: u32,
        /// The one of its bytes.
        computed: u32,
    },
    /// The seq, or that of the last packed line, is impossible.
    #[error("record seq {0} is beyond {SEQ_LIMIT}")]
    Seq(u64),
    /// An unknown kind: written by a newer version.
    #[error("record kind {0} is unknown to this version")]
    Kind(u8),
    /// The payload of an event or notice is not understood.
    #[error("record payload: {0}")]
    Payload(#[from] serde_json::Error),
    /// Packed lines are not as many as the header says.
    #[error("record of {stated} lines has {found}, or ends within one")]
    Lines {
        /// The number in the header.
        stated: u32,
        /// The number of newlines.
        found: usize,
    },
}

pub(super) fn encode_json(
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

#[inline]
pub(super) fn encode_raw(
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

/// Appends a header without length and checksum, and returns where it begins.
#[inline]
pub(super) fn begin(
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
#[inline]
pub(super) fn seal(buffer: &mut [u8], start: usize) {
    let frame = &mut buffer[start..];
    let length = (frame.len() - PREFIX_BYTES) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&frame[PREFIX_BYTES..]);
    frame[4..PREFIX_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// The first whole record's length in bytes, or `None` while more bytes are needed.
///
/// # Errors
/// When the length or the seq is impossible or the checksum is wrong: the bytes are no record.
pub fn frame_bytes(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let Some(total) = verified_frame_bytes(bytes)? else { return Ok(None) };
    let found = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let computed = crc32fast::hash(&bytes[PREFIX_BYTES..total]);
    if found != computed {
        return Err(RecordError::Checksum { found, computed });
    }
    check_seqs(bytes)?;
    Ok(Some(total))
}

/// The same for bytes that [`frame_bytes`] has verified before: the checksum is not computed again.
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

/// That the record's seqs, in a header that is whole, are none that nobody can count on from.
pub(super) fn check_seqs(frame: &[u8]) -> Result<(), RecordError> {
    let (_, last) = peek_seqs(frame);
    if last <= SEQ_LIMIT { Ok(()) } else { Err(RecordError::Seq(last)) }
}

/// The last of so many numbers from `seq` on.
pub(super) fn last_of(seq: u64, count: u32) -> u64 {
    seq.saturating_add(u64::from(count.saturating_sub(1)))
}
