//! A queue of copied fragments: the memory behind the tail of [`crate::head_tail`], its only
//! caller.
//!
//! A flood of two-byte lines must not cost an allocation, nor many times its own size, for each of
//! them. So fragments lie one behind the other in large chunks, each after a header of two to
//! seventeen bytes, and a chunk that has been read to its end is used again. Decides nothing.
//!
//! ```text
//! size  header of a fragment
//!    1  flags
//!    1  length of the data, or 4 with LONG
//!    8  time, with NEW_TIME: where it differs from that of the fragment before it
//!    4  index of the piece, with PIECE
//! ```

use std::{collections::VecDeque, mem};

use bytes::Bytes;
use cc_link::record::{PIECE_BYTES_LIMIT, Piece, Stream};

use crate::splitter::Fragment;

/// A chunk that has reached this size takes no further fragment.
const CHUNK_BYTES: usize = 256 * 1024;
const HEADER_BYTES_LIMIT: usize = 17;

const STDERR: u8 = 1;
const PIECE: u8 = 2;
const LAST: u8 = 4;
const TRUNCATED: u8 = 8;
const LONG: u8 = 16;
const NEW_TIME: u8 = 32;

/// A fragment that was held to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFragment {
    pub stream: Stream,
    /// `None` for a whole line. The first pieces of a line can be missing.
    pub piece: Option<Piece>,
    /// The line was longer than the line limit.
    pub truncated: bool,
    /// When it was placed.
    pub time_ms: u64,
    /// At most [`PIECE_BYTES_LIMIT`] bytes.
    pub data: Bytes,
}

/// Fragments in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct HeldQueue {
    /// The last one is being filled.
    chunks: VecDeque<Vec<u8>>,
    /// Where in the first chunk the front fragment is.
    front_at: usize,
    /// Of the fragment that left the front last; 0 before the first, as `back_time_ms`.
    front_time_ms: u64,
    /// Of the fragment that was pushed last.
    back_time_ms: u64,
    /// An emptied chunk, for the next one.
    spare: Vec<u8>,
}

/// The fragment at the front, where it lies.
#[derive(Debug)]
pub(crate) struct Front<'a> {
    pub(crate) stream: Stream,
    pub(crate) piece: Option<Piece>,
    pub(crate) truncated: bool,
    pub(crate) time_ms: u64,
    pub(crate) data: &'a [u8],
    /// Where in its chunk the next one begins.
    end: usize,
}

impl HeldQueue {
    /// Copies a fragment to the back.
    pub(crate) fn push(&mut self, fragment: &Fragment<'_>, time_ms: u64) {
        let needs_chunk = self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK_BYTES);
        if needs_chunk {
            let mut chunk = mem::take(&mut self.spare);
            chunk.reserve_exact(CHUNK_BYTES + HEADER_BYTES_LIMIT + PIECE_BYTES_LIMIT);
            self.chunks.push_back(chunk);
        }
        let Some(chunk) = self.chunks.back_mut() else { return };
        let has_new_time = time_ms != self.back_time_ms;
        self.back_time_ms = time_ms;
        put_header(chunk, fragment, has_new_time.then_some(time_ms));
        chunk.extend_from_slice(fragment.data);
    }

    pub(crate) fn front(&self) -> Option<Front<'_>> {
        read(self.chunks.front()?, self.front_at, self.front_time_ms)
    }

    pub(crate) fn drop_front(&mut self) {
        let Some(Front { time_ms, end, .. }) = self.front() else { return };
        self.front_time_ms = time_ms;
        self.front_at = end;
        let is_used_up = self.chunks.front().is_some_and(|chunk| chunk.len() == end);
        if is_used_up && let Some(mut chunk) = self.chunks.pop_front() {
            chunk.clear();
            self.spare = chunk;
            self.front_at = 0;
        }
    }

    /// All that is held, without copying it; every chunk is freed when its last fragment is.
    pub(crate) fn drain(&mut self) -> HeldQueueDrain {
        let mut queue = mem::take(self);
        HeldQueueDrain {
            chunk: queue.chunks.pop_front().unwrap_or_default().into(),
            at: queue.front_at,
            time_ms: queue.front_time_ms,
            chunks: queue.chunks,
        }
    }
}

/// What [`HeldQueue::drain`] took out.
#[derive(Debug)]
pub(crate) struct HeldQueueDrain {
    chunk: Bytes,
    at: usize,
    time_ms: u64,
    chunks: VecDeque<Vec<u8>>,
}

impl Iterator for HeldQueueDrain {
    type Item = HeldFragment;

    fn next(&mut self) -> Option<HeldFragment> {
        while self.at == self.chunk.len() {
            self.chunk = self.chunks.pop_front()?.into();
            self.at = 0;
        }
        let front = read(&self.chunk, self.at, self.time_ms)?;
        let held = HeldFragment {
            stream: front.stream,
            piece: front.piece,
            truncated: front.truncated,
            time_ms: front.time_ms,
            data: self.chunk.slice_ref(front.data),
        };
        self.at = front.end;
        self.time_ms = held.time_ms;
        Some(held)
    }
}

fn put_header(chunk: &mut Vec<u8>, fragment: &Fragment<'_>, new_time_ms: Option<u64>) {
    let mut header = [0; HEADER_BYTES_LIMIT];
    let mut flags = match fragment.stream {
        Stream::Stdout => 0,
        Stream::Stderr => STDERR,
    };
    let mut end = 1;
    let mut put = |bytes: &[u8]| {
        header[end..end + bytes.len()].copy_from_slice(bytes);
        end += bytes.len();
    };
    if let Ok(length) = u8::try_from(fragment.data.len()) {
        put(&[length]);
    } else {
        flags |= LONG;
        put(&(fragment.data.len() as u32).to_le_bytes());
    }
    if let Some(time_ms) = new_time_ms {
        flags |= NEW_TIME;
        put(&time_ms.to_le_bytes());
    }
    if let Some(piece) = fragment.piece {
        flags |= PIECE | if piece.last { LAST } else { 0 };
        put(&piece.index.to_le_bytes());
    }
    if fragment.truncated {
        flags |= TRUNCATED;
    }
    header[0] = flags;
    chunk.extend_from_slice(&header[..end]);
}

/// The fragment at `at`; `None` at the chunk's end.
fn read(chunk: &[u8], at: usize, time_before_ms: u64) -> Option<Front<'_>> {
    let (flags, rest) = chunk.get(at..)?.split_first()?;
    let (length, rest) = if flags & LONG == 0 {
        let (length, rest) = rest.split_first()?;
        (usize::from(*length), rest)
    } else {
        let (length, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (time_ms, rest) = if flags & NEW_TIME == 0 {
        (time_before_ms, rest)
    } else {
        let (time_ms, rest) = rest.split_first_chunk()?;
        (u64::from_le_bytes(*time_ms), rest)
    };
    let (piece, rest) = if flags & PIECE == 0 {
        (None, rest)
    } else {
        let (index, rest) = rest.split_first_chunk()?;
        (Some(Piece { index: u32::from_le_bytes(*index), last: flags & LAST != 0 }), rest)
    };
    let (data, rest) = rest.split_at_checked(length)?;
    Some(Front {
        stream: if flags & STDERR == 0 { Stream::Stdout } else { Stream::Stderr },
        piece,
        truncated: flags & TRUNCATED != 0,
        time_ms,
        data,
        end: chunk.len() - rest.len(),
    })
}

#[cfg(test)]
impl HeldQueue {
    /// What the queue has asked the allocator for.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.spare.capacity() + self.chunks.iter().map(Vec::capacity).sum::<usize>()
    }
}
