//! A reader of a task's records.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cc_tasklog::{FIRST_RECORD_OFFSET, LogReader};
use tokio::{sync::watch, task::JoinHandle};

use crate::task::feed::ring::{Feed, Mark, Position};

impl Feed {
    /// A reader that begins after the record with this seq; 0: with the first one.
    #[must_use]
    pub(crate) fn cursor_after(self: &Arc<Self>, seq: u64) -> Cursor {
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
}

/// What a cursor comes to next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
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
pub(crate) struct Cursor {
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
    pub(crate) fn over_log(log_path: PathBuf, seq: u64) -> Self {
        let place = if seq == 0 { Place::At(FIRST_RECORD_OFFSET) } else { Place::After(seq) };
        Self { source: Source::Ended { log_path }, place, reader: None, looking: None }
    }

    /// Waits for the next records, about `bytes_limit` at most. `None` after the terminal event. Dropping
    /// the future loses nothing.
    pub(crate) async fn next(&mut self, bytes_limit: usize) -> Option<Item> {
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
    pub(crate) fn ready(&mut self) -> Option<Bytes> {
        let (Source::Running { feed, .. }, Place::At(offset)) = (&self.source, self.place) else {
            return None;
        };
        let frames = feed.slice(offset)?;
        self.place = Place::At(offset + frames.len() as u64);
        Some(frames)
    }

    /// Goes back by so much of what was read last: the end of it, in whole records.
    pub(crate) fn put_back(&mut self, bytes: usize) {
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
                Source::Running { feed, .. } => feed.log_path().to_owned(),
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
