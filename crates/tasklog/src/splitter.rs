//! Bytes of one stream, as they were read, become lines and pieces of lines.
//!
//! Owns the line limit and the cutting of long lines; holds at most one piece of an unfinished
//! line. Never changes a byte (NUL, CR and invalid UTF-8 pass through), never decides what is kept,
//! and knows no clock: the worker's loop calls it, and says when an unfinished line has waited
//! enough.
//!
//! ```text
//!              a piece's worth waits, flush_partial / piece
//!                    ┌─────┐
//!                    │     ▼
//!   newline ┌──────▶ Open ───── limit crossed / last piece with the mark ─────▶ Skipping
//!    / line └───────   ▲                                                          │
//!                      └────────────────────── newline ───────────────────────────┘
//! ```

use std::mem;

use cc_events::TRUNCATION_MARK;
use cc_link::record::{PIECE_BYTES_LIMIT, Piece, Stream};

#[cfg(test)]
mod tests;

/// A line with its newline, or a piece of one, not copied yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    pub stream: Stream,
    /// `None` for a whole line.
    pub piece: Option<Piece>,
    /// The line was longer than the line limit: `data` ends with [`TRUNCATION_MARK`].
    pub truncated: bool,
    /// The first fragment of its line.
    pub starts_line: bool,
    /// The last fragment of its line.
    pub ends_line: bool,
    /// At most [`PIECE_BYTES_LIMIT`] bytes. Empty only for the last piece of a line all of which
    /// had gone out before the stream ended.
    pub data: &'a [u8],
}

/// What one stream has brought so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Lines that have ended or were cut; after [`Splitter::finish`] an unfinished last one too.
    pub lines: u64,
    /// Bytes as they were read, skipped ones included.
    pub bytes: u64,
    /// Of `lines`, those that were cut at the line limit.
    pub truncated_lines: u64,
}

/// Cuts one stream into lines and pieces.
#[derive(Debug)]
pub struct Splitter {
    stream: Stream,
    line_bytes_limit: u64,
    piece_bytes_limit: usize,
    /// What was read of the current line and has not gone out. At most `piece_bytes_limit`.
    waiting: Vec<u8>,
    line: Line,
    counts: StreamCounts,
}

/// Where the splitter stands in the current line.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// So much of it has gone out.
    Open { sent_bytes: u64, sent_pieces: u32 },
    /// It was cut; the rest of it is of no interest.
    Skipping,
}

const FRESH_LINE: Line = Line::Open { sent_bytes: 0, sent_pieces: 0 };

/// What comes after a fragment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    MoreOfTheLine,
    NextLine,
    SkippedRest,
}

impl Splitter {
    /// A splitter at the start of a stream. `line_bytes_limit` counts a line without its newline.
    #[must_use]
    pub fn new(stream: Stream, line_bytes_limit: u64) -> Self {
        Self::with_piece_limit(stream, line_bytes_limit, PIECE_BYTES_LIMIT)
    }

    fn with_piece_limit(stream: Stream, line_bytes_limit: u64, piece_bytes_limit: usize) -> Self {
        Self {
            stream,
            line_bytes_limit,
            piece_bytes_limit,
            waiting: Vec::with_capacity(piece_bytes_limit),
            line: FRESH_LINE,
            counts: StreamCounts::default(),
        }
    }

    /// Takes what was read and hands on every line that is complete, and of longer ones every
    /// piece.
    ///
    /// A line that arrives whole and fits a piece is handed on without being copied.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Fragment<'_>)) {
        self.counts.bytes += bytes.len() as u64;
        let mut rest = bytes;
        while let Some(newline) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(newline + 1);
            self.take(line, true, sink);
            rest = after;
        }
        if !rest.is_empty() {
            self.take(rest, false, sink);
        }
    }

    /// Hands on what waits of an unfinished line, as a piece. An incomplete character at its end
    /// stays back: the rest of it is likely to come.
    pub fn flush_partial(&mut self, sink: &mut dyn FnMut(Fragment<'_>)) {
        let whole = whole_characters(&self.waiting);
        if whole > 0 {
            self.send_waiting(whole, Then::MoreOfTheLine, sink);
        }
    }

    /// Ends the stream: an unfinished last line goes out as it is. Harmless when repeated.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Fragment<'_>)) {
        match self.line {
            Line::Open { sent_pieces: 0, .. } if self.waiting.is_empty() => {}
            Line::Open { .. } => self.send_waiting(self.waiting.len(), Then::NextLine, sink),
            Line::Skipping => self.line = FRESH_LINE,
        }
    }

    /// Whether something waits that [`Self::flush_partial`] would hand on.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        whole_characters(&self.waiting) > 0
    }

    /// What the stream has brought so far.
    #[must_use]
    pub fn counts(&self) -> StreamCounts {
        self.counts
    }

    /// Takes a part of one line; `complete` says that it ends with the newline.
    fn take(&mut self, segment: &[u8], complete: bool, sink: &mut dyn FnMut(Fragment<'_>)) {
        let content = (segment.len() - usize::from(complete)) as u64;
        let sent_bytes = match self.line {
            Line::Open { sent_bytes, .. } => sent_bytes,
            Line::Skipping => {
                if complete {
                    self.line = FRESH_LINE;
                }
                return;
            }
        };
        // Neither what waits nor what was sent ever passes the limit.
        let room = self.line_bytes_limit - sent_bytes - self.waiting.len() as u64;
        if content > room {
            self.feed(&segment[..room as usize], sink);
            self.truncate(sink);
            if complete {
                self.line = FRESH_LINE;
            }
        } else if complete && self.waiting.is_empty() && segment.len() <= self.piece_bytes_limit {
            self.send(segment, Then::NextLine, sink);
        } else {
            self.feed(segment, sink);
            if complete {
                self.send_waiting(self.waiting.len(), Then::NextLine, sink);
            }
        }
    }

    /// Adds to what waits, and hands on a piece whenever it is certain that the line is longer than
    /// one: so that where a line is cut does not depend on how it was read.
    fn feed(&mut self, segment: &[u8], sink: &mut dyn FnMut(Fragment<'_>)) {
        let mut rest = segment;
        while self.waiting.len() + rest.len() > self.piece_bytes_limit {
            if self.waiting.is_empty() {
                let cut = whole_characters(&rest[..self.piece_bytes_limit]);
                self.send(&rest[..cut], Then::MoreOfTheLine, sink);
                rest = &rest[cut..];
            } else {
                let (fill, after) = rest.split_at(self.piece_bytes_limit - self.waiting.len());
                self.waiting.extend_from_slice(fill);
                rest = after;
                let cut = whole_characters(&self.waiting);
                self.send_waiting(cut, Then::MoreOfTheLine, sink);
            }
        }
        self.waiting.extend_from_slice(rest);
    }

    /// Ends a line whose allowed bytes have all been fed, and of which more has come.
    fn truncate(&mut self, sink: &mut dyn FnMut(Fragment<'_>)) {
        self.waiting.truncate(whole_characters(&self.waiting));
        let room = self.piece_bytes_limit - TRUNCATION_MARK.len();
        if self.waiting.len() > room {
            let cut = whole_characters(&self.waiting[..room]);
            self.send_waiting(cut, Then::MoreOfTheLine, sink);
        }
        self.waiting.extend_from_slice(TRUNCATION_MARK);
        self.send_waiting(self.waiting.len(), Then::SkippedRest, sink);
    }

    fn send_waiting(&mut self, bytes: usize, then: Then, sink: &mut dyn FnMut(Fragment<'_>)) {
        let mut waiting = mem::take(&mut self.waiting);
        self.send(&waiting[..bytes], then, sink);
        waiting.drain(..bytes);
        self.waiting = waiting;
    }

    fn send(&mut self, data: &[u8], then: Then, sink: &mut dyn FnMut(Fragment<'_>)) {
        let (sent_bytes, index) = match self.line {
            Line::Open { sent_bytes, sent_pieces } => (sent_bytes, sent_pieces),
            Line::Skipping => (0, 0),
        };
        let ends_line = then != Then::MoreOfTheLine;
        self.line = match then {
            Then::MoreOfTheLine => Line::Open {
                sent_bytes: sent_bytes + data.len() as u64,
                sent_pieces: index.saturating_add(1),
            },
            Then::NextLine => FRESH_LINE,
            Then::SkippedRest => Line::Skipping,
        };
        self.counts.lines += u64::from(ends_line);
        self.counts.truncated_lines += u64::from(then == Then::SkippedRest);
        let is_whole_line = ends_line && index == 0;
        sink(Fragment {
            stream: self.stream,
            piece: (!is_whole_line).then_some(Piece { index, last: ends_line }),
            truncated: then == Then::SkippedRest,
            starts_line: index == 0,
            ends_line,
            data,
        });
    }
}

/// How many bytes there are before an incomplete UTF-8 character at the end. At most three fewer
/// than all; all if the end is no beginning of a character.
fn whole_characters(bytes: &[u8]) -> usize {
    let tail_start = bytes.len().saturating_sub(3);
    let Some(lead) = bytes[tail_start..].iter().rposition(|byte| *byte >= 0xC0) else {
        return bytes.len();
    };
    let start = tail_start + lead;
    match std::str::from_utf8(&bytes[start..]) {
        Err(error) if error.error_len().is_none() => start,
        Err(_) | Ok(_) => bytes.len(),
    }
}
