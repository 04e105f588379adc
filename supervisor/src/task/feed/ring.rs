//! The records in memory: a ring of the last ones, and how far all of them reach.

use std::{
    collections::VecDeque,
    fs,
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
    /// The offset of the next record.
    pub end_offset: u64,
    /// 0 when there is no record.
    pub last_seq: u64,
    /// The terminal event is among them: no record follows.
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
    /// Whole records in each.
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Points of the whole log, far apart. The search for a seq begins at the nearest one.
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

impl Ring {
    /// Lets go of the oldest chunks, but never of the last one.
    fn shrink(&mut self, bytes_limit: usize) {
        while self.bytes > bytes_limit && self.chunks.len() > 1 {
            let oldest = self.chunks.pop_front();
            self.bytes -= oldest.map_or(0, |chunk| chunk.frames.len());
        }
    }
}

impl Feed {
    /// The feed of a new task, whose log will be at `log_path`. The ring holds at most `ring_bytes_limit`, but always the
    /// last chunk.
    #[must_use]
    pub(crate) fn new(log_path: PathBuf, ring_bytes_limit: usize) -> Arc<Self> {
        let start = Position { end_offset: FIRST_RECORD_OFFSET, last_seq: 0, is_done: false };
        Self::continued(log_path, ring_bytes_limit, start)
    }

    /// The feed of a task whose log reaches to `start` already: earlier records are read from the file.
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

    /// Adds whole records that continue the sequence. `is_done`: the last one is the terminal event.
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
            ring.shrink(self.limit());
        }
        self.position.send_replace(Position { end_offset, last_seq, is_done });
    }

    /// What the ring may hold. Of a task that nobody follows closely little is kept: the log has it.
    fn limit(&self) -> usize {
        let is_read = self.position.receiver_count() > 0;
        if is_read { self.ring_bytes_limit } else { limits::UNREAD_RING_BYTES }
    }

    /// To be called when a reader has fallen behind.
    pub(super) fn shrink(&self) {
        self.ring().shrink(self.limit());
    }

    #[must_use]
    pub(crate) fn position(&self) -> Position {
        *self.position.borrow()
    }

    #[must_use]
    pub(crate) fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Whether the task has ended, and its log has all of its records.
    #[must_use]
    pub(super) fn is_all_in_log(&self) -> bool {
        let position = self.position();
        position.is_done
            && fs::metadata(&self.log_path).is_ok_and(|log| log.len() >= position.end_offset)
    }

    /// All records from `offset` on, if the ring still holds them.
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
        // A panic while it was locked has left whole chunks.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
