//! A task's records for everyone who follows it: the end of the log in memory, the rest in the file.
//!
//! A [`Feed`] is written by its task's owner alone; any number of [`Cursor`]s read it, each at its own pace.
//! Offsets are those of the task log file, because both hold the same bytes. A cursor that is near the end
//! is served from the ring, one that is behind reads the file; so a slow reader costs an offset, not
//! memory. The writer never waits for a reader.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cc_tasklog::{FIRST_RECORD_OFFSET, LogReader};
use tokio::sync::watch;

/// How far a task's records reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Where the next record will be.
    pub end_offset: u64,
    /// Of the last record; 0 when there is none.
    pub last_seq: u64,
    /// The terminal event is among them: nothing follows.
    pub is_done: bool,
}

/// The records of one task.
#[derive(Debug)]
pub struct Feed {
    log_path: PathBuf,
    ring_bytes_limit: usize,
    ring: Mutex<Ring>,
    position: watch::Sender<Position>,
}

#[derive(Debug)]
struct Ring {
    /// Whole records each.
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

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
    pub fn new(log_path: PathBuf, ring_bytes_limit: usize) -> Arc<Self> {
        let start = Position { end_offset: FIRST_RECORD_OFFSET, last_seq: 0, is_done: false };
        Self::continued(log_path, ring_bytes_limit, start)
    }

    /// Of a task whose log reaches to `start` already: what is before it is read from the file.
    #[must_use]
    pub fn continued(log_path: PathBuf, ring_bytes_limit: usize, start: Position) -> Arc<Self> {
        Arc::new(Self {
            log_path,
            ring_bytes_limit,
            ring: Mutex::new(Ring { chunks: VecDeque::new(), bytes: 0 }),
            position: watch::Sender::new(start),
        })
    }

    /// Adds whole records that continue the sequence. `is_done`: the last of them is the terminal event.
    pub fn append(&self, frames: Bytes, last_seq: u64, is_done: bool) {
        let offset = self.position.borrow().end_offset;
        let end_offset = offset + frames.len() as u64;
        {
            let mut ring = self.ring();
            ring.bytes += frames.len();
            ring.chunks.push_back(Chunk { offset, frames });
            while ring.bytes > self.ring_bytes_limit && ring.chunks.len() > 1 {
                let oldest = ring.chunks.pop_front();
                ring.bytes -= oldest.map_or(0, |chunk| chunk.frames.len());
            }
        }
        self.position.send_replace(Position { end_offset, last_seq, is_done });
    }

    /// How far it reaches now.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// The task's log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Everything from `offset` on, if the ring still holds it.
    #[must_use]
    pub fn frames_from(&self, mut offset: u64) -> Option<Vec<Bytes>> {
        let end_offset = self.position().end_offset;
        let mut frames = Vec::new();
        while offset < end_offset {
            let chunk = self.slice(offset)?;
            offset += chunk.len() as u64;
            frames.push(chunk);
        }
        Some(frames)
    }

    /// A reader that begins with the first record.
    #[must_use]
    pub fn cursor(self: &Arc<Self>) -> Cursor {
        Cursor {
            feed: Arc::clone(self),
            updates: self.position.subscribe(),
            offset: FIRST_RECORD_OFFSET,
            reader: None,
        }
    }

    /// The rest of the chunk that holds the record at `offset`.
    fn slice(&self, offset: u64) -> Option<Bytes> {
        let ring = self.ring();
        let index = ring.chunks.partition_point(|chunk| chunk.end_offset() <= offset);
        let chunk = ring.chunks.get(index)?;
        let skipped = usize::try_from(offset.checked_sub(chunk.offset)?).ok()?;
        Some(chunk.frames.slice(skipped..))
    }

    fn oldest_offset(&self) -> u64 {
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

/// What a cursor comes to next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Whole records.
    Frames(Bytes),
    /// The ring no longer holds these records and the log could not be read.
    Lost {
        /// How much is missing.
        bytes: u64,
        /// What was wrong with the log.
        error: String,
    },
}

/// One reader's place in a feed.
#[derive(Debug)]
pub struct Cursor {
    feed: Arc<Feed>,
    updates: watch::Receiver<Position>,
    offset: u64,
    reader: Option<LogReader>,
}

impl Cursor {
    /// Waits for the next records, about `bytes_limit` at most. `None` after the terminal event. Dropping
    /// the future loses nothing.
    pub async fn next(&mut self, bytes_limit: usize) -> Option<Item> {
        loop {
            let position = *self.updates.borrow_and_update();
            if self.offset < position.end_offset {
                return Some(match self.ready() {
                    Some(frames) => Item::Frames(frames),
                    None => self.read_log(position.end_offset, bytes_limit).await,
                });
            }
            if position.is_done || self.updates.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The next records if the ring holds them now; never waits, never reads the file.
    pub fn ready(&mut self) -> Option<Bytes> {
        let frames = self.feed.slice(self.offset)?;
        self.offset += frames.len() as u64;
        Some(frames)
    }

    /// Reads up to `end_offset`, the end that was published when this was asked for, and not further: what
    /// is in the file already may be meant to be seen later.
    async fn read_log(&mut self, end_offset: u64, bytes_limit: usize) -> Item {
        let path = self.feed.log_path.clone();
        let offset = self.offset;
        let limit = usize::try_from(end_offset - offset).unwrap_or(usize::MAX).min(bytes_limit);
        let reader = self.reader.take();
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => LogReader::open(&path)?,
            };
            let frames = reader.read(offset, limit)?;
            Ok::<_, cc_tasklog::LogError>((reader, frames))
        });
        let error = match read.await {
            Ok(Ok((reader, frames))) if !frames.is_empty() => {
                self.reader = Some(reader);
                self.offset += frames.len() as u64;
                return Item::Frames(frames);
            }
            Ok(Ok(_)) => "it ends too early".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let oldest = self.feed.oldest_offset().max(offset);
        self.offset = oldest;
        Item::Lost { bytes: oldest - offset, error }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
