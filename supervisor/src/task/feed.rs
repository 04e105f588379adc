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
use cc_tasklog::{FIRST_RECORD_OFFSET, LogReader};
use tokio::{sync::watch, task::JoinHandle};

use crate::config::limits;

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
    /// Points of the whole log, far apart: a seq and where its record ends. Who looks for a position begins
    /// to read there.
    marks: Vec<Mark>,
}

/// A seq, and the offset after its record.
type Mark = (u64, u64);

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
            ring: Mutex::new(Ring {
                chunks: VecDeque::new(),
                bytes: 0,
                marks: vec![(0, FIRST_RECORD_OFFSET)],
            }),
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

    /// A reader that begins after the record with this seq; 0: with the first one.
    #[must_use]
    pub fn cursor_after(self: &Arc<Self>, seq: u64) -> Cursor {
        let position = self.position();
        let place = match seq {
            0 => Place::At(FIRST_RECORD_OFFSET),
            // Whoever has everything needs no look at the file.
            last if last == position.last_seq => Place::At(position.end_offset),
            earlier => Place::After(earlier),
        };
        let source = Source::Running { feed: Arc::clone(self), updates: self.position.subscribe() };
        Cursor { source, place, reader: None, looking: None }
    }

    /// The rest of the chunk that holds the record at `offset`.
    fn slice(&self, offset: u64) -> Option<Bytes> {
        let ring = self.ring();
        let index = ring.chunks.partition_point(|chunk| chunk.end_offset() <= offset);
        let chunk = ring.chunks.get(index)?;
        let skipped = usize::try_from(offset.checked_sub(chunk.offset)?).ok()?;
        Some(chunk.frames.slice(skipped..))
    }

    /// The nearest point from which the record with this seq can be looked for.
    fn mark_before(&self, seq: u64) -> Mark {
        let ring = self.ring();
        let index = ring.marks.partition_point(|(marked_seq, _)| *marked_seq <= seq);
        index.checked_sub(1).map_or((0, FIRST_RECORD_OFFSET), |index| ring.marks[index])
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

/// One reader's place in a task's records.
#[derive(Debug)]
pub struct Cursor {
    source: Source,
    place: Place,
    reader: Option<LogReader>,
    /// A look into the log that is under way. It stays when [`Cursor::next`] is dropped: a cursor that shares
    /// a connection with busier ones would never see its end otherwise.
    looking: Option<JoinHandle<Look>>,
}

type Look = Result<(LogReader, Found), cc_tasklog::LogError>;

/// What is looked for in the log.
#[derive(Clone, Copy, Debug)]
enum Search {
    /// Where the record after this seq is; the point is before it.
    After { seq: u64, from: Mark },
    /// Records from here on.
    Records { offset: u64, bytes_limit: usize },
}

#[derive(Debug)]
enum Found {
    Offset(Option<u64>),
    Frames(Bytes),
}

#[derive(Debug)]
enum Source {
    /// A task that has not ended, or has just done so.
    Running { feed: Arc<Feed>, updates: watch::Receiver<Position> },
    /// The log of a task that has ended: what it holds is all there will be.
    Ended { log_path: PathBuf },
}

/// Where a cursor reads next.
#[derive(Clone, Copy, Debug)]
enum Place {
    At(u64),
    /// After the record with this seq; where that is, the log will say.
    After(u64),
    /// What was there is lost, and nothing follows.
    End,
}

impl Cursor {
    /// A reader of an ended task's log that begins after the record with this seq; 0: with the first one.
    #[must_use]
    pub fn over_log(log_path: PathBuf, seq: u64) -> Self {
        let place = if seq == 0 { Place::At(FIRST_RECORD_OFFSET) } else { Place::After(seq) };
        Self { source: Source::Ended { log_path }, place, reader: None, looking: None }
    }

    /// Waits for the next records, about `bytes_limit` at most. `None` after the terminal event. Dropping
    /// the future loses nothing.
    pub async fn next(&mut self, bytes_limit: usize) -> Option<Item> {
        loop {
            let offset = match self.place {
                Place::At(offset) => offset,
                Place::After(seq) => match self.find(seq).await {
                    Ok(offset) => {
                        self.place = Place::At(offset);
                        offset
                    }
                    Err(error) => return Some(self.lost(FIRST_RECORD_OFFSET, error)),
                },
                Place::End => return None,
            };
            let (end_offset, is_done) = match &mut self.source {
                Source::Running { updates, .. } => {
                    let position = *updates.borrow_and_update();
                    (position.end_offset, position.is_done)
                }
                Source::Ended { .. } => return self.read_ended_log(offset, bytes_limit).await,
            };
            if offset < end_offset {
                return Some(match self.ready() {
                    Some(frames) => Item::Frames(frames),
                    None => self.read_log(offset, end_offset, bytes_limit).await,
                });
            }
            let Source::Running { updates, .. } = &mut self.source else { return None };
            if is_done || updates.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The next records if the ring holds them now; never waits, never reads the file.
    pub fn ready(&mut self) -> Option<Bytes> {
        let (Source::Running { feed, .. }, Place::At(offset)) = (&self.source, self.place) else {
            return None;
        };
        let frames = feed.slice(offset)?;
        self.place = Place::At(offset + frames.len() as u64);
        Some(frames)
    }

    /// Goes back by so much of what was read last: the end of it, in whole records.
    pub fn put_back(&mut self, bytes: usize) {
        if let Place::At(offset) = self.place {
            self.place = Place::At(offset - bytes as u64);
        }
    }

    /// Reads up to `end_offset`, the end that was published when this was asked for, and not further: what
    /// is in the file already may be meant to be seen later.
    async fn read_log(&mut self, offset: u64, end_offset: u64, bytes_limit: usize) -> Item {
        let limit = usize::try_from(end_offset - offset).unwrap_or(usize::MAX).min(bytes_limit);
        match self.records(offset, limit).await {
            Ok(frames) if !frames.is_empty() => {
                self.place = Place::At(offset + frames.len() as u64);
                Item::Frames(frames)
            }
            Ok(_) => self.lost(offset, "it ends too early".to_owned()),
            Err(error) => self.lost(offset, error),
        }
    }

    async fn read_ended_log(&mut self, offset: u64, bytes_limit: usize) -> Option<Item> {
        match self.records(offset, bytes_limit).await {
            Ok(frames) if frames.is_empty() => None,
            Ok(frames) => {
                self.place = Place::At(offset + frames.len() as u64);
                Some(Item::Frames(frames))
            }
            Err(error) => Some(self.lost(offset, error)),
        }
    }

    async fn find(&mut self, seq: u64) -> Result<u64, String> {
        let from = match &self.source {
            Source::Running { feed, .. } => feed.mark_before(seq),
            Source::Ended { .. } => (0, FIRST_RECORD_OFFSET),
        };
        match self.look(Search::After { seq, from }).await? {
            Found::Offset(Some(offset)) => Ok(offset),
            Found::Offset(None) | Found::Frames(_) => Err(format!("it has no event {seq}")),
        }
    }

    async fn records(&mut self, offset: u64, bytes_limit: usize) -> Result<Bytes, String> {
        // Nearly always the page cache has it, and no thread needs to be woken.
        if let Some(reader) = &self.reader
            && let Some(frames) = reader.read_cached(offset, bytes_limit)
        {
            return Ok(frames);
        }
        match self.look(Search::Records { offset, bytes_limit }).await? {
            Found::Frames(frames) => Ok(frames),
            Found::Offset(_) => Ok(Bytes::new()),
        }
    }

    /// Goes on with what can still be read.
    fn lost(&mut self, offset: u64, error: String) -> Item {
        match &self.source {
            Source::Running { feed, .. } => {
                let oldest = feed.oldest_offset().max(offset);
                self.place = Place::At(oldest);
                Item::Lost { bytes: oldest - offset, error }
            }
            Source::Ended { .. } => {
                self.place = Place::End;
                Item::Lost { bytes: 0, error }
            }
        }
    }

    /// Looks where blocking is allowed. As long as the cursor has not moved, what is looked for is the same.
    async fn look(&mut self, search: Search) -> Result<Found, String> {
        if self.looking.is_none() {
            let path = match &self.source {
                Source::Running { feed, .. } => feed.log_path.clone(),
                Source::Ended { log_path } => log_path.clone(),
            };
            let reader = self.reader.take();
            self.looking = Some(tokio::task::spawn_blocking(move || look(&path, reader, search)));
        }
        let Some(looking) = &mut self.looking else { return Ok(Found::Offset(None)) };
        let outcome = looking.await;
        self.looking = None;
        let (reader, found) =
            outcome.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.reader = Some(reader);
        Ok(found)
    }
}

fn look(path: &Path, reader: Option<LogReader>, search: Search) -> Look {
    let mut reader = match reader {
        Some(reader) => reader,
        None => LogReader::open(path)?,
    };
    let found = match search {
        Search::After { seq, from } => Found::Offset(reader.position_after_from(from, seq)?),
        Search::Records { offset, bytes_limit } => Found::Frames(reader.read(offset, bytes_limit)?),
    };
    Ok((reader, found))
}

#[cfg(test)]
mod tests;
