//! A task's records for everyone who follows it: the end of the log in memory, the rest in the file.
//!
//! A [`Feed`] is written by its task's owner alone; any number of [`Cursor`]s read it, each at its own pace.
//! Offsets are those of the task log file, because both hold the same bytes. A cursor that is near the end
//! is served from the ring, one that is behind reads the file, and so does one over the log of a task that
//! is long over; so a slow reader costs an offset, not memory. The writer never waits for a reader.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cc_tasklog::FIRST_RECORD_OFFSET;
use tokio::sync::watch;

use crate::config::limits;

/// How far a task's records reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Where the next record will be.
    pub end_offset: u64,
    /// Of the last record; 0 when there is none.
    pub last_seq: u64,
    /// The terminal event is among them: nothing follows.
    pub is_done: bool,
}

/// The records of one task.
#[derive(Debug)]
pub(crate) struct Feed {
    log_path: PathBuf,
    ring_bytes_limit: usize,
    ring: Mutex<Ring>,
    pub(super) position: watch::Sender<Position>,
}

#[derive(Debug)]
struct Ring {
    /// Whole records each.
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Points of the whole log, far apart: a seq and where its record ends. Who looks for a position begins
    /// to read there.
    marks: Vec<Mark>,
}

/// A seq, and the offset after its record.
pub(super) type Mark = (u64, u64);

#[derive(Debug)]
struct Chunk {
    offset: u64,
    frames: Bytes,
}

impl Chunk {
    fn end_offset(&self) -> u64 {
        self.offset + self.frames.len() as u64
    }
}

impl Feed {
    /// Of a task whose log will be at `log_path`. The ring holds at most `ring_bytes_limit`, but always the
    /// last chunk.
    #[must_use]
    pub(crate) fn new(log_path: PathBuf, ring_bytes_limit: usize) -> Arc<Self> {
        let start = Position { end_offset: FIRST_RECORD_OFFSET, last_seq: 0, is_done: false };
        Self::continued(log_path, ring_bytes_limit, start)
    }

    /// Of a task whose log reaches to `start` already: what is before it is read from the file.
    #[must_use]
    pub(crate) fn continued(
        log_path: PathBuf,
        ring_bytes_limit: usize,
        start: Position,
    ) -> Arc<Self> {
        Arc::new(Self {
            log_path,
            ring_bytes_limit,
            ring: Mutex::new(Ring {
                chunks: VecDeque::new(),
                bytes: 0,
                marks: vec![(0, FIRST_RECORD_OFFSET)],
            }),
            position: watch::Sender::new(start),
        })
    }

    /// Adds whole records that continue the sequence. `is_done`: the last of them is the terminal event.
    pub(crate) fn append(&self, frames: Bytes, last_seq: u64, is_done: bool) {
        let offset = self.position.borrow().end_offset;
        let end_offset = offset + frames.len() as u64;
        {
            let mut ring = self.ring();
            ring.bytes += frames.len();
            ring.chunks.push_back(Chunk { offset, frames });
            let last_mark = ring.marks.last().map_or(0, |(_, offset)| *offset);
            if end_offset >= last_mark + limits::FEED_MARK_BYTES {
                ring.marks.push((last_seq, end_offset));
            }
            while ring.bytes > self.ring_bytes_limit && ring.chunks.len() > 1 {
                let oldest = ring.chunks.pop_front();
                ring.bytes -= oldest.map_or(0, |chunk| chunk.frames.len());
            }
        }
        self.position.send_replace(Position { end_offset, last_seq, is_done });
    }

    /// How far it reaches now.
    #[must_use]
    pub(crate) fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// The task's log.
    #[must_use]
    pub(crate) fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Everything from `offset` on, if the ring still holds it.
    #[must_use]
    pub(crate) fn frames_from(&self, mut offset: u64) -> Option<Vec<Bytes>> {
        let end_offset = self.position().end_offset;
        let mut frames = Vec::new();
        while offset < end_offset {
            let chunk = self.slice(offset)?;
            offset += chunk.len() as u64;
            frames.push(chunk);
        }
        Some(frames)
    }

    /// The rest of the chunk that holds the record at `offset`.
    pub(super) fn slice(&self, offset: u64) -> Option<Bytes> {
        let ring = self.ring();
        let index = ring.chunks.partition_point(|chunk| chunk.end_offset() <= offset);
        let chunk = ring.chunks.get(index)?;
        let skipped = usize::try_from(offset.checked_sub(chunk.offset)?).ok()?;
        Some(chunk.frames.slice(skipped..))
    }

    /// The nearest point from which the record with this seq can be looked for.
    pub(super) fn mark_before(&self, seq: u64) -> Mark {
        let ring = self.ring();
        let index = ring.marks.partition_point(|(marked_seq, _)| *marked_seq <= seq);
        index.checked_sub(1).map_or((0, FIRST_RECORD_OFFSET), |index| ring.marks[index])
    }

    pub(super) fn oldest_offset(&self) -> u64 {
        self.ring()
            .chunks
            .front()
            .map(|chunk| chunk.offset)
            .unwrap_or_else(|| self.position().end_offset)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Whoever panicked has left whole chunks behind.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
