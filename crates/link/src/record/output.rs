//! What a task printed: a line, or a piece of a long one, in a record of its own.

use bytes::Bytes;

use super::frame::{self, FLAG_LAST, FLAG_PIECE, FLAG_TRUNCATED, KIND_STDERR, KIND_STDOUT};

/// Most payload of an output record: a line comes in pieces of at most this size.
pub const PIECE_BYTES_LIMIT: usize = 64 * 1024;

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
    frame::encode_raw(buffer, seq, time_ms, [kind_of(stream), flags], index, data);
}

#[inline]
pub(super) fn kind_of(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => KIND_STDOUT,
        Stream::Stderr => KIND_STDERR,
    }
}
