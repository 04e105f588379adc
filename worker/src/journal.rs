//! Numbers what happens, appends it to the task log, and sends the same bytes to the supervisor.
//!
//! The log comes first, so what a client sees is on record. Neither a full disk nor a supervisor that does not read stops
//! the loop. What the pipe does not take waits here, bounded, while the task is not read (see [`Journal::is_congested`]). A
//! log that takes no more output still takes the last events, in the room that is kept for them; output is then dropped and
//! counted, never numbered. Events that the log cannot take either are kept here and only sent.

use std::{
    io,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cc_events::{Dropped, Event, TRUNCATION_MARK};
use cc_link::{
    adopt::Adopted,
    notice::Notice,
    record::{self, Body, Packer, Piece, Record, Stream},
    spec::Fsync,
};
use cc_tasklog::{LAST_EVENTS_BYTES, LogWriter};

use crate::event_pipe::EventPipe;

/// Output is written when this much is there, or when the loop is about to sleep: more than the records of one full
/// read, so that they are written at once and not in two parts.
const BATCH_BYTES: usize = 128 * 1024;
/// Of the room that the log keeps for last events, this is for the terminal one.
const TERMINAL_EVENT_BYTES: u64 = LAST_EVENTS_BYTES / 4;
/// With more than this held that the log did not take, only the terminal event is added.
const UNLOGGED_BYTES_LIMIT: usize = 1024 * 1024;
/// With more than this waiting for the supervisor, a task's output is not read: the task waits instead.
const BACKLOG_BYTES_LIMIT: usize = 256 * 1024;
/// The same for a task that does not wait. Holds all output that the default output limit leaves (10 MiB), and its
/// headers.
const LARGE_BACKLOG_BYTES_LIMIT: usize = 16 * 1024 * 1024;
/// How long the last records wait for a supervisor that does not read; the log has them anyway.
const LAST_FLUSH: Duration = Duration::from_secs(10);

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A position in the task log, by both measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    pub end_offset: u64,
    /// Of the record before it; 0 when there is none.
    pub last_seq: u64,
}

/// The records of one task.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Of everything that was recorded, and of the last record that the log has.
    last_seq: u64,
    logged_seq: u64,
    /// `None`: it could not be created.
    log: Option<LogWriter>,
    /// Why the log takes no more output.
    log_failure: Option<io::Error>,
    /// What the loop has recorded since the last flush.
    batch: Vec<u8>,
    /// Makes records of lines at its end.
    packer: Packer,
    /// Events that the log did not take, as records.
    unlogged: Vec<u8>,
    /// Output that the log did not take.
    dropped: Dropped,
    pipe: EventPipe,
    /// With more than this waiting for the supervisor, the task's output is not read.
    backlog_bytes_limit: usize,
}

impl Journal {
    /// Creates the task log. If that fails the journal only sends; [`Journal::log_failure`] says why.
    pub(crate) fn create(log_path: &Path, fsync: Fsync, pipe: EventPipe) -> Self {
        let (log, log_failure) = match LogWriter::create(log_path, fsync) {
            Ok(log) => (Some(log), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            last_seq: 0,
            logged_seq: 0,
            log,
            log_failure,
            batch: Vec::new(),
            packer: Packer::default(),
            unlogged: Vec::new(),
            dropped: Dropped::default(),
            pipe,
            backlog_bytes_limit: BACKLOG_BYTES_LIMIT,
        }
    }

    /// Why the log takes no more output.
    pub(crate) fn log_failure(&self) -> Option<&io::Error> {
        self.log_failure.as_ref()
    }

    /// Output that is in no record because the log did not take it.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped
    }

    pub(crate) fn event(&mut self, event: Event) {
        if self.log_failure.is_some() {
            self.last_event(event, wall_clock_ms());
            return;
        }
        self.close_lines();
        let seq = self.last_seq + 1;
        let record = Record { seq, time_ms: wall_clock_ms(), body: Body::Event(event) };
        // The makers of events bound their texts, so that they can always be written.
        if record.encode(&mut self.batch).is_ok() {
            self.last_seq = seq;
        }
    }

    /// Records a line or a piece of one.
    pub(crate) fn output(
        &mut self,
        time_ms: u64,
        stream: Stream,
        piece: Option<Piece>,
        is_truncated: bool,
        data: &[u8],
    ) {
        if self.log_failure.is_some() {
            self.count_dropped(piece, is_truncated, data);
            return;
        }
        self.last_seq += 1;
        let (batch, seq) = (&mut self.batch, self.last_seq);
        let is_whole_line = piece.is_none() && !is_truncated && data.ends_with(b"\n");
        if is_whole_line {
            self.packer.add(batch, seq, time_ms, stream, data);
        } else {
            self.packer.close(batch);
            record::encode_output(batch, seq, time_ms, stream, piece, is_truncated, data);
        }
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// The batch holds whole records after this.
    fn close_lines(&mut self) {
        self.packer.close(&mut self.batch);
    }

    /// Sends the supervisor something that is not part of the log.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.flush();
        let record = Record { seq: 0, time_ms: wall_clock_ms(), body: Body::Notice(notice) };
        if record.encode(&mut self.batch).is_ok() {
            self.pipe.send(&self.batch);
        }
        self.batch.clear();
    }

    /// Writes what was recorded since the last flush to the log, then to the pipe.
    pub(crate) fn flush(&mut self) {
        self.close_lines();
        if self.batch.is_empty() {
            if self.pipe.has_backlog() {
                self.pipe.send(&[]);
            }
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        match self.log.as_mut().map(|log| log.append(&batch)) {
            Some(Ok(())) => {
                self.logged_seq = self.last_seq;
                self.pipe.send(&batch);
            }
            Some(Err(error)) => {
                self.log_failure = Some(error);
                self.salvage(&batch);
            }
            // Without a log nothing is batched.
            None => {}
        }
        batch.clear();
        self.batch = batch;
    }

    /// Of records that the log did not take: keeps the events, under new numbers, and counts the output.
    fn salvage(&mut self, mut records: &[u8]) {
        self.last_seq = self.logged_seq;
        while let Ok(Some(bytes)) = record::frame_bytes(records) {
            let (frame, rest) = records.split_at(bytes);
            records = rest;
            let Ok(record) = record::decode_frame(frame.to_vec().into()) else { continue };
            match record.body {
                Body::Output(output) => {
                    self.count_dropped(output.piece, output.truncated, &output.data);
                }
                Body::Lines(lines) => {
                    self.dropped.bytes += lines.data().len() as u64;
                    self.dropped.lines += u64::from(lines.count());
                }
                Body::Event(event) => self.last_event(event, record.time_ms),
                Body::Notice(_) => {}
            }
        }
    }

    /// Records an event of a task whose log takes no more output, at once. One that does not fit beside the
    /// terminal event is not recorded.
    fn last_event(&mut self, event: Event, time_ms: u64) {
        let is_terminal = matches!(event, Event::Completed(_));
        let spare_bytes = if is_terminal { 0 } else { TERMINAL_EVENT_BYTES };
        let seq = self.last_seq + 1;
        let mut frame = Vec::new();
        if (Record { seq, time_ms, body: Body::Event(event) }).encode(&mut frame).is_err() {
            return;
        }
        let written = match &mut self.log {
            // After an event that it did not take there would be a gap.
            Some(log) if self.unlogged.is_empty() => log.append_last(&frame, spare_bytes).ok(),
            Some(_) | None => None,
        };
        match written {
            Some(true) => self.logged_seq = seq,
            Some(false) => return,
            None if is_terminal || self.unlogged.len() < UNLOGGED_BYTES_LIMIT => {
                self.unlogged.extend_from_slice(&frame);
            }
            None => return,
        }
        self.last_seq = seq;
        self.pipe.send(&frame);
    }

    fn count_dropped(&mut self, piece: Option<Piece>, is_truncated: bool, data: &[u8]) {
        // The mark of a cut line is not the task's.
        let mark_bytes = if is_truncated { TRUNCATION_MARK.len() } else { 0 };
        self.dropped.bytes += data.len().saturating_sub(mark_bytes) as u64;
        // From the first drop on nothing is kept, so a line's last piece stands for it.
        self.dropped.lines += u64::from(piece.is_none_or(|piece| piece.last));
    }

    /// Completes the log: nothing is recorded after this.
    pub(crate) fn seal(&mut self) {
        self.flush();
        let Some(log) = &mut self.log else { return };
        // There may be room again; if not, they were sent.
        if !self.unlogged.is_empty() && log.append_last(&self.unlogged, 0).is_ok() {
            self.logged_seq = self.last_seq;
            self.unlogged.clear();
        }
    }

    /// Waits, for a bounded time, until the supervisor has taken what was sent, and leaves.
    pub(crate) fn leave(mut self) {
        self.pipe.drain(Instant::now() + LAST_FLUSH);
        self.pipe.close();
        if let Some(mut log) = self.log {
            // The log is whole also with space behind it.
            drop(log.give_back());
        }
    }

    /// Sends on `pipe` from now on, and nowhere else. The first thing sent is what `adopted` makes of the
    /// log's end; what the log holds up to there is not sent again.
    pub(crate) fn switch_to(&mut self, pipe: EventPipe, adopted: impl FnOnce(LogEnd) -> Adopted) {
        self.flush();
        self.pipe = pipe;
        let end_offset = self.log.as_ref().map_or(0, LogWriter::offset);
        let end = LogEnd { end_offset, last_seq: self.logged_seq };
        self.notice(Notice::Adopted(Box::new(adopted(end))));
        self.pipe.send(&self.unlogged);
    }

    /// Whether so much waits for the supervisor that the task must not be read.
    pub(crate) fn is_congested(&self) -> bool {
        self.pipe.backlog_bytes() > self.backlog_bytes_limit
    }

    /// From now on much more may wait for the supervisor before the task is not read: for a task that loses what is not
    /// read in time.
    pub(crate) fn let_more_wait(&mut self) {
        self.backlog_bytes_limit = LARGE_BACKLOG_BYTES_LIMIT;
    }

    /// The event pipe, for poll(2).
    pub(crate) fn pipe(&self) -> &EventPipe {
        &self.pipe
    }

    /// The other end of the pipe is closed: nothing more is sent.
    pub(crate) fn close_pipe(&mut self) {
        self.pipe.close();
    }
}
