//! The bound on all output of a task: its head and its tail are kept, the middle is counted.
//!
//! Owns the decision what is kept, and the memory of the tail. Never writes and knows no clock: the
//! worker asks it about every fragment of both streams, and writes what it says.
//!
//! The head takes three quarters of the limit and goes to the log at once; what comes after it is
//! held here, in a tail that has the rest of the limit and forgets its oldest fragments first.
//!
//! The **newest line of each stream is never forgotten**, whole or still growing, however large it
//! is and however much the other stream prints after it: the last line of an agent's output is its
//! result. So the total can pass the limit by at most one line for each stream, and the memory that
//! is held here by the same; both are bounded because the splitter bounds a line.

use std::collections::VecDeque;

use bytes::Bytes;
use cc_events::{Dropped, TRUNCATION_MARK};
use cc_link::record::Stream;

use crate::{
    held_queue::{Front, HeldFragment, HeldQueue, HeldQueueDrain},
    splitter::Fragment,
};

#[cfg(test)]
mod tests;

/// What to do with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Placed {
    /// Write it to the log at once.
    Now,
    /// Do nothing: it was copied here, or dropped and counted.
    Held,
}

/// Bounds what both streams of a task bring together.
#[derive(Debug)]
pub struct HeadTail {
    output_bytes_limit: u64,
    placed_bytes: u64,
    stage: Stage,
    /// In `queue` and in both `aside`.
    held_bytes: u64,
    queue: HeldQueue,
    /// Fragments that have left the queue: the place of the next one in the order of reading.
    left_queue: u64,
    streams: [StreamState; 2],
    dropped: Dropped,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Fragments go out at once while they fit.
    Head { room_bytes: u64 },
    /// Everything is held. What the head had left belongs to the tail.
    Tail { bytes_limit: u64 },
}

/// What is known of one stream. Lines are numbered from 1.
#[derive(Debug, Default)]
struct StreamState {
    /// Of the fragment placed last: this line is never forgotten.
    newest_line: u64,
    /// Of the fragment that has gone past last: written, or taken out of the queue.
    passed_line: u64,
    /// Of the fragment dropped last.
    dropped_line: u64,
    /// Fragments of one line that was the newest when the queue's front reached them: older than
    /// all in the queue, and the first to go once a newer line of their stream has come.
    aside: VecDeque<Aside>,
}

#[derive(Debug)]
struct Aside {
    order: u64,
    line: u64,
    fragment: HeldFragment,
}

impl HeadTail {
    /// A bound of this many bytes, three quarters of them for the head.
    #[must_use]
    pub fn new(output_bytes_limit: u64) -> Self {
        let tail_bytes = output_bytes_limit / 4;
        Self {
            output_bytes_limit,
            placed_bytes: 0,
            stage: Stage::Head { room_bytes: output_bytes_limit - tail_bytes },
            held_bytes: 0,
            queue: HeldQueue::default(),
            left_queue: 0,
            streams: [StreamState::default(), StreamState::default()],
            dropped: Dropped::default(),
        }
    }

    /// Decides about the next fragment, in the order in which they were read. A held one is copied.
    pub fn place(&mut self, fragment: &Fragment<'_>, time_ms: u64) -> Placed {
        let bytes = fragment.data.len() as u64;
        self.placed_bytes = self.placed_bytes.saturating_add(bytes);
        let state = &mut self.streams[index(fragment.stream)];
        state.newest_line += u64::from(fragment.starts_line);
        let tail_bytes_limit = match &mut self.stage {
            Stage::Head { room_bytes } if bytes <= *room_bytes => {
                *room_bytes -= bytes;
                state.passed_line = state.newest_line;
                return Placed::Now;
            }
            Stage::Head { room_bytes } => {
                let bytes_limit = self.output_bytes_limit / 4 + *room_bytes;
                self.stage = Stage::Tail { bytes_limit };
                bytes_limit
            }
            Stage::Tail { bytes_limit } => *bytes_limit,
        };
        self.queue.push(fragment, time_ms);
        self.held_bytes += bytes;
        while self.held_bytes > tail_bytes_limit && self.make_room() {}
        Placed::Held
    }

    /// Whether more than the limit was placed in all.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.placed_bytes > self.output_bytes_limit
    }

    /// What was dropped so far. Bytes are the task's own, without the mark of a cut line.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// What to write when both streams have ended: first the event that says what was dropped, if
    /// anything was, then the tail in the order in which it was read. The tail is handed over.
    pub fn finish(&mut self) -> (Option<Dropped>, HeldFragments) {
        let mut aside: Vec<Aside> =
            self.streams.iter_mut().flat_map(|state| state.aside.drain(..)).collect();
        aside.sort_unstable_by_key(|aside| aside.order);
        self.held_bytes = 0;
        let dropped = (self.dropped != Dropped::default()).then_some(self.dropped);
        (dropped, HeldFragments { aside: aside.into(), queue: self.queue.drain() })
    }

    /// Drops the oldest fragment that may be dropped, or comes a step nearer to it. Every fragment
    /// takes at most two steps, so a flood costs the same for each. False when there is none.
    fn make_room(&mut self) -> bool {
        if let Some(stream) = self.stream_of_oldest_outdated() {
            if let Some(Aside { line, fragment, .. }) =
                self.streams[index(stream)].aside.pop_front()
            {
                self.count_dropped(stream, line, fragment.data.len(), fragment.truncated);
            }
            return true;
        }
        let Some(front) = self.queue.front() else { return false };
        let Front { stream, piece, truncated, time_ms, data, .. } = front;
        let state = &mut self.streams[index(stream)];
        state.passed_line += u64::from(piece.is_none_or(|piece| piece.index == 0));
        let line = state.passed_line;
        let bytes = data.len();
        if line == state.newest_line {
            let data = Bytes::copy_from_slice(data);
            let fragment = HeldFragment { stream, piece, truncated, time_ms, data };
            state.aside.push_back(Aside { order: self.left_queue, line, fragment });
        } else {
            self.count_dropped(stream, line, bytes, truncated);
        }
        self.queue.drop_front();
        self.left_queue += 1;
        true
    }

    /// The stream whose oldest fragment that was put aside is the oldest that may be dropped.
    fn stream_of_oldest_outdated(&self) -> Option<Stream> {
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .filter_map(|stream| {
                let state = &self.streams[index(stream)];
                let front = state.aside.front()?;
                (front.line != state.newest_line).then_some((front.order, stream))
            })
            .min_by_key(|(order, _)| *order)
            .map(|(_, stream)| stream)
    }

    fn count_dropped(&mut self, stream: Stream, line: u64, bytes: usize, truncated: bool) {
        let mark_bytes = if truncated { TRUNCATION_MARK.len() } else { 0 };
        self.held_bytes -= bytes as u64;
        self.dropped.bytes += bytes.saturating_sub(mark_bytes) as u64;
        let state = &mut self.streams[index(stream)];
        self.dropped.lines += u64::from(state.dropped_line != line);
        state.dropped_line = line;
    }
}

/// The tail, oldest fragment first. Memory is freed as it is read.
#[derive(Debug)]
pub struct HeldFragments {
    aside: VecDeque<Aside>,
    queue: HeldQueueDrain,
}

impl Iterator for HeldFragments {
    type Item = HeldFragment;

    fn next(&mut self) -> Option<HeldFragment> {
        match self.aside.pop_front() {
            Some(aside) => Some(aside.fragment),
            None => self.queue.next(),
        }
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}
