//! One reader's place in a task's records.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cc_tasklog::{FIRST_RECORD_OFFSET, LogError, LogReader};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle, spawn_blocking},
};

use crate::task::feed::ring::{Feed, Mark, Position};

impl Feed {
    /// A reader that begins after the record with this seq; 0: with the first one.
    #[must_use]
    pub(crate) fn cursor_after(self: &Arc<Self>, seq: u64) -> Cursor {
        let position = self.position();
        let place = match seq {
            0 => Place::At(FIRST_RECORD_OFFSET),
            // The reader has everything: no need to look at the file.
            last if last == position.last_seq => Place::At(position.end_offset),
            earlier => Place::After(earlier),
        };
        let updates = Some(self.position.subscribe());
        let source = Source::Running { feed: Arc::clone(self), updates };
        Cursor { source, place, reader: None, searching: None, replay: None }
    }
}

/// What a cursor reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Whole records.
    Frames(Bytes),
    /// The ring does not hold these records any more and the log could not be read.
    Lost {
        bytes: u64,
        /// What is wrong with the log, for the client.
        error: String,
    },
}

#[derive(Debug)]
pub(crate) struct Cursor {
    source: Source,
    place: Place,
    reader: Option<LogReader>,
    /// A search of the log that is under way. It stays when [`Cursor::next`] is dropped: otherwise a cursor that shares a
    /// connection with busier ones would never see the end of it.
    searching: Option<JoinHandle<Result<(LogReader, Found), LogError>>>,
    /// Counts what the records take that are there already when the reader begins.
    replay: Option<Counter>,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Thread(#[from] JoinError),
    #[error("it has no event {seq}")]
    NoEvent { seq: u64 },
    #[error("it ends too early")]
    EndsEarly,
}

/// What is searched in the log.
#[derive(Clone, Copy, Debug)]
enum Search {
    /// The offset of the record after this seq; the search begins at `from`.
    After {
        seq: u64,
        from: Mark,
    },
    Records {
        offset: u64,
        bytes_limit: usize,
    },
}

#[derive(Debug)]
enum Found {
    Offset(Option<u64>),
    Frames(Bytes),
}

#[derive(Debug)]
enum Source {
    /// A task that has not ended, or has just ended.
    Running {
        feed: Arc<Feed>,
        /// `None` while the reader has stopped reading.
        updates: Option<watch::Receiver<Position>>,
    },
    /// The log of a task that has ended: nothing will be added.
    Ended { log_path: PathBuf },
}

/// Where a cursor reads next.
#[derive(Clone, Copy, Debug)]
enum Place {
    At(u64),
    /// After the record with this seq, whose offset is not known yet.
    After(u64),
    /// The log is lost, and nothing follows.
    End,
}

impl Cursor {
    /// A reader of an ended task's log that begins after the record with this seq; 0: with the first one.
    #[must_use]
    pub(crate) fn over_log(log_path: PathBuf, seq: u64) -> Self {
        let place = if seq == 0 { Place::At(FIRST_RECORD_OFFSET) } else { Place::After(seq) };
        Self {
            source: Source::Ended { log_path },
            place,
            reader: None,
            searching: None,
            replay: None,
        }
    }

    /// Counts what the records take that are there already when the reader begins.
    pub(crate) fn count_replay(&mut self, bytes: Counter) {
        self.replay = Some(bytes);
    }

    /// Waits for the next records, at most about `bytes_limit`. `None` after the terminal event. Dropping the future loses
    /// nothing.
    pub(crate) async fn next(&mut self, bytes_limit: usize) -> Option<Item> {
        loop {
            let offset = match self.place {
                Place::At(offset) => offset,
                Place::After(seq) => match self.find(seq).await {
                    Ok(offset) => {
                        self.place = Place::At(offset);
                        offset
                    }
                    Err(error) => return Some(self.lost(FIRST_RECORD_OFFSET, &error)),
                },
                Place::End => return None,
            };
            let (end_offset, is_done) = match &mut self.source {
                Source::Running { feed, updates } => {
                    let updates = updates.get_or_insert_with(|| feed.position.subscribe());
                    let position = *updates.borrow_and_update();
                    (position.end_offset, position.is_done)
                }
                Source::Ended { .. } => {
                    let item = self.read_ended_log(offset, bytes_limit).await;
                    if let (Some(replay), Some(Item::Frames(frames))) = (&self.replay, &item) {
                        replay.inc_by(frames.len() as u64);
                    }
                    return item;
                }
            };
            if let Some(replay) = self.replay.take() {
                replay.inc_by(end_offset.saturating_sub(offset));
            }
            if offset < end_offset {
                return Some(match self.ready() {
                    Some(frames) => Item::Frames(frames),
                    None => self.read_log(offset, end_offset, bytes_limit).await,
                });
            }
            let Source::Running { updates: Some(updates), .. } = &mut self.source else {
                return None;
            };
            if is_done || updates.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The next records if the ring holds them. Never waits, and never reads the file.
    pub(crate) fn ready(&mut self) -> Option<Bytes> {
        let (Source::Running { feed, .. }, Place::At(offset)) = (&self.source, self.place) else {
            return None;
        };
        let frames = feed.slice(offset)?;
        self.place = Place::At(offset + frames.len() as u64);
        Some(frames)
    }

    /// Where the last `bytes` that were read begin, which are whole records. `None` while that is not known.
    #[must_use]
    pub(crate) fn offset_before(&self, bytes: usize) -> Option<u64> {
        match self.place {
            Place::At(offset) => offset.checked_sub(bytes as u64),
            Place::After(_) | Place::End => None,
        }
    }

    /// Goes back to a record that was read before, and lets go of everything that was held to read on quickly.
    pub(crate) fn go_back(&mut self, offset: u64) {
        self.place = Place::At(offset);
        self.reader = None;
        self.searching = None;
        let Source::Running { feed, updates } = &mut self.source else { return };
        *updates = None;
        if feed.is_all_in_log() {
            self.source = Source::Ended { log_path: feed.log_path().to_owned() };
        } else {
            feed.shrink();
        }
    }

    /// Goes back by `bytes`, which are whole records at the end of what was read last.
    pub(crate) fn put_back(&mut self, bytes: usize) {
        if let Place::At(offset) = self.place {
            self.place = Place::At(offset - bytes as u64);
        }
    }

    /// Reads up to `end_offset`, which was published, and not further: the file may hold records that are not published
    /// yet.
    async fn read_log(&mut self, offset: u64, end_offset: u64, bytes_limit: usize) -> Item {
        let limit = usize::try_from(end_offset - offset).unwrap_or(usize::MAX).min(bytes_limit);
        match self.records(offset, limit).await {
            Ok(frames) if !frames.is_empty() => {
                self.place = Place::At(offset + frames.len() as u64);
                Item::Frames(frames)
            }
            Ok(_) => self.lost(offset, &ReadError::EndsEarly),
            Err(error) => self.lost(offset, &error),
        }
    }

    async fn read_ended_log(&mut self, offset: u64, bytes_limit: usize) -> Option<Item> {
        match self.records(offset, bytes_limit).await {
            Ok(frames) if frames.is_empty() => None,
            Ok(frames) => {
                self.place = Place::At(offset + frames.len() as u64);
                Some(Item::Frames(frames))
            }
            Err(error) => Some(self.lost(offset, &error)),
        }
    }

    async fn find(&mut self, seq: u64) -> Result<u64, ReadError> {
        let from = match &self.source {
            Source::Running { feed, .. } => feed.mark_before(seq),
            Source::Ended { .. } => (0, FIRST_RECORD_OFFSET),
        };
        match self.search(Search::After { seq, from }).await? {
            Found::Offset(Some(offset)) => Ok(offset),
            Found::Offset(None) | Found::Frames(_) => Err(ReadError::NoEvent { seq }),
        }
    }

    async fn records(&mut self, offset: u64, bytes_limit: usize) -> Result<Bytes, ReadError> {
        // The page cache nearly always has them, and no thread needs to be woken.
        if let Some(reader) = &self.reader
            && let Some(frames) = reader.read_cached(offset, bytes_limit)
        {
            return Ok(frames);
        }
        match self.search(Search::Records { offset, bytes_limit }).await? {
            Found::Frames(frames) => Ok(frames),
            Found::Offset(_) => Ok(Bytes::new()),
        }
    }

    /// Moves to the next records that can be read.
    fn lost(&mut self, offset: u64, error: &ReadError) -> Item {
        let error = error.to_string();
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

    /// Searches the log where blocking is allowed. While a search is under way `what` is the same, because the cursor has
    /// not moved.
    async fn search(&mut self, what: Search) -> Result<Found, ReadError> {
        if self.searching.is_none() {
            let path = match &self.source {
                Source::Running { feed, .. } => feed.log_path().to_owned(),
                Source::Ended { log_path } => log_path.clone(),
            };
            let reader = self.reader.take();
            self.searching = Some(spawn_blocking(move || search(&path, reader, what)));
        }
        let Some(searching) = &mut self.searching else { return Ok(Found::Offset(None)) };
        let outcome = searching.await;
        self.searching = None;
        let (reader, found) = outcome??;
        self.reader = Some(reader);
        Ok(found)
    }
}

fn search(
    path: &Path,
    reader: Option<LogReader>,
    what: Search,
) -> Result<(LogReader, Found), LogError> {
    let mut reader = match reader {
        Some(reader) => reader,
        None => LogReader::open(path)?,
    };
    let found = match what {
        Search::After { seq, from } => Found::Offset(reader.position_after_from(from, seq)?),
        Search::Records { offset, bytes_limit } => Found::Frames(reader.read(offset, bytes_limit)?),
    };
    Ok((reader, found))
}
