//! Numbers what happens, appends it to the task log, and sends the same bytes to the supervisor.
//!
//! The log comes first: what a client sees is on record. Neither a full disk nor a supervisor that
//! does not read stops the loop: a log that cannot be written is given up and reported, and what the
//! pipe does not take waits, bounded, while the task is not read (see [`Journal::is_congested`]).

use std::{
    io,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cc_link::{
    adopt::Adopted,
    event::{Event, Notice},
    record::{self, Body, Piece, Record, Stream},
};
use cc_tasklog::LogWriter;

use crate::event_pipe::EventPipe;

/// Output is written when this much is there, or when the loop is about to sleep.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the last records wait for a supervisor that does not read; the log has them anyway.
const LAST_FLUSH: Duration = Duration::from_secs(10);

/// Milliseconds since the Unix epoch.
pub fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A position in the task log, by both measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    pub end_offset: u64,
    /// Of the record before it; 0 when there is none.
    pub last_seq: u64,
}

/// The records of one task.
#[derive(Debug)]
pub struct Journal {
    last_seq: u64,
    log: Option<LogWriter>,
    log_failure: Option<io::Error>,
    batch: Vec<u8>,
    pipe: EventPipe,
}

impl Journal {
    /// Creates the task log. If that fails the journal only sends; [`Journal::log_failure`] says why.
    pub fn create(log_path: &Path, pipe: EventPipe) -> Self {
        let (log, log_failure) = match LogWriter::create(log_path) {
            Ok(log) => (Some(log), None),
            Err(error) => (None, Some(error)),
        };
        Self { last_seq: 0, log, log_failure, batch: Vec::new(), pipe }
    }

    /// Why the log is not written any more.
    pub fn log_failure(&self) -> Option<&io::Error> {
        self.log_failure.as_ref()
    }

    /// Records an event.
    pub fn event(&mut self, event: Event) {
        let seq = self.last_seq + 1;
        let record = Record { seq, time_ms: wall_clock_ms(), body: Body::Event(event) };
        // The makers of events bound their texts, so that they can always be written.
        if record.encode(&mut self.batch).is_ok() {
            self.last_seq = seq;
        }
    }

    /// Records a line or a piece of one.
    pub fn output(
        &mut self,
        time_ms: u64,
        stream: Stream,
        piece: Option<Piece>,
        is_truncated: bool,
        data: &[u8],
    ) {
        self.last_seq += 1;
        let batch = &mut self.batch;
        record::encode_output(batch, self.last_seq, time_ms, stream, piece, is_truncated, data);
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Tells the supervisor something that is not part of the log.
    pub fn notice(&mut self, notice: Notice) {
        self.flush();
        let record = Record { seq: 0, time_ms: wall_clock_ms(), body: Body::Notice(notice) };
        if record.encode(&mut self.batch).is_ok() {
            self.pipe.send(&self.batch);
        }
        self.batch.clear();
    }

    /// Writes what was recorded since the last flush to the log, then to the pipe.
    pub fn flush(&mut self) {
        if !self.batch.is_empty() {
            if let Some(log) = &mut self.log
                && let Err(error) = log.append(&self.batch)
            {
                self.log = None;
                self.log_failure = Some(error);
            }
            self.pipe.send(&self.batch);
            self.batch.clear();
        } else if self.pipe.has_backlog() {
            self.pipe.send(&[]);
        }
    }

    /// Completes the log: nothing is recorded after this.
    pub fn seal(&mut self) {
        self.flush();
    }

    /// Waits, for a bounded time, until the supervisor has taken what was sent.
    pub fn drain(mut self) {
        self.pipe.drain(Instant::now() + LAST_FLUSH);
    }

    /// Sends on `pipe` from now on, and nowhere else. The first thing sent is what `adopted` makes of the
    /// log's end; what the log holds up to there is not sent again.
    pub fn switch_to(&mut self, pipe: EventPipe, adopted: impl FnOnce(LogEnd) -> Adopted) {
        self.flush();
        self.pipe = pipe;
        let end_offset = self.log.as_ref().map_or(0, LogWriter::offset);
        let end = LogEnd { end_offset, last_seq: self.last_seq };
        self.notice(Notice::Adopted(Box::new(adopted(end))));
    }

    /// Whether so much waits for the supervisor that the task must not be read.
    pub fn is_congested(&self) -> bool {
        self.pipe.is_congested()
    }

    /// The event pipe, for poll(2).
    pub fn pipe(&self) -> &EventPipe {
        &self.pipe
    }

    /// Nobody is at the other end of the pipe any more.
    pub fn close_pipe(&mut self) {
        self.pipe.close();
    }
}
