//! Numbers what happens, appends it to the task log, and sends the same bytes to the supervisor.
//!
//! The log comes first: what a client sees is on record. Neither a full disk nor a supervisor that
//! does not read stops the loop: a log that cannot be written is given up and reported, and what the
//! pipe does not take waits, bounded, while the task is not read (see [`Journal::is_congested`]).

use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cc_link::{
    event::{Event, Notice},
    record::{self, Body, Piece, Record, Stream},
};
use cc_tasklog::LogWriter;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// With more than this waiting for the supervisor, the task's output is not read.
const BACKLOG_BYTES_LIMIT: usize = 256 * 1024;
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

    /// Flushes everything, waiting for the supervisor for a bounded time.
    pub fn close(mut self) {
        self.flush();
        self.pipe.drain(Instant::now() + LAST_FLUSH);
    }

    /// Whether so much waits for the supervisor that the task must not be read.
    pub fn is_congested(&self) -> bool {
        self.pipe.backlog.len() - self.pipe.sent > BACKLOG_BYTES_LIMIT
    }

    /// The event pipe, for poll(2).
    pub fn pipe(&self) -> &EventPipe {
        &self.pipe
    }

    /// The supervisor's end of the pipe is closed.
    pub fn pipe_broke(&mut self) {
        self.pipe.give_up();
    }
}

/// The pipe to the supervisor on stdout; never blocks.
#[derive(Debug)]
pub struct EventPipe {
    stdout: io::Stdout,
    is_terminal: bool,
    is_open: bool,
    backlog: Vec<u8>,
    sent: usize,
}

impl EventPipe {
    /// Takes stdout over. Only the end of this process becomes non-blocking, the other end of a pipe is
    /// an open file of its own.
    pub fn on_stdout() -> io::Result<Self> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        if !is_terminal {
            let flags = OFlag::from_bits_retain(fcntl(&stdout, FcntlArg::F_GETFL)?);
            fcntl(&stdout, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        Ok(Self { stdout, is_terminal, is_open: true, backlog: Vec::new(), sent: 0 })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub fn has_backlog(&self) -> bool {
        self.sent < self.backlog.len()
    }

    /// Sends `bytes` after the backlog, keeping what the pipe does not take.
    fn send(&mut self, bytes: &[u8]) {
        if !self.is_open {
            return;
        }
        if self.is_terminal {
            show(bytes);
            return;
        }
        if self.has_backlog() {
            self.backlog.extend_from_slice(bytes);
            self.sent += self.write(self.sent, None);
            if !self.has_backlog() {
                self.backlog.clear();
                self.sent = 0;
            } else if self.sent > BACKLOG_BYTES_LIMIT {
                self.backlog.drain(..self.sent);
                self.sent = 0;
            }
            return;
        }
        let sent = self.write(0, Some(bytes));
        if self.is_open {
            self.backlog.extend_from_slice(&bytes[sent..]);
        }
    }

    /// Writes `bytes`, or the backlog from `start`, until the pipe is full; says how much it took.
    fn write(&mut self, start: usize, bytes: Option<&[u8]>) -> usize {
        let mut count = 0;
        loop {
            let source = bytes.unwrap_or(&self.backlog[start..]);
            let rest = &source[count..];
            if rest.is_empty() {
                return count;
            }
            match rustix::io::write(&self.stdout, rest) {
                Ok(written) => count += written,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return count,
                Err(_) => {
                    self.give_up();
                    return 0;
                }
            }
        }
    }

    fn drain(&mut self, deadline: Instant) {
        while self.is_open && self.has_backlog() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let mut fds = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, timeout).is_err_and(|errno| errno != nix::errno::Errno::EINTR) {
                return;
            }
            self.send(&[]);
        }
    }

    fn give_up(&mut self) {
        self.is_open = false;
        self.backlog = Vec::new();
        self.sent = 0;
    }
}

/// Records as text, for a person who tries the worker in a shell.
fn show(mut bytes: &[u8]) {
    while let Ok(Some(total)) = record::frame_bytes(bytes) {
        let (frame, rest) = bytes.split_at(total);
        match record::decode_frame(frame.to_vec().into()) {
            Ok(Record { seq, body: Body::Output(output), .. }) => {
                let text = String::from_utf8_lossy(&output.data);
                println!("{seq:>6} {} {:?}", output.stream.as_str(), text);
            }
            Ok(Record { seq, body: Body::Event(event), .. }) => {
                println!("{seq:>6} {}", serde_json::to_string(&event).unwrap_or_default());
            }
            Ok(Record { body: Body::Notice(notice), .. }) => println!("       {notice:?}"),
            Err(error) => println!("       {error}"),
        }
        bytes = rest;
    }
}
