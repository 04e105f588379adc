//! Sends records to the supervisor, on stdout or, after an adoption, on the worker's socket. Never blocks.
//!
//! What the descriptor does not take at once waits here. The loop bounds that by not reading the task
//! meanwhile (see [`crate::journal::Journal::is_congested`]).

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use cc_link::record::{self, Body, Record, Stream};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// What was sent of the backlog is removed from it when it is at least this, and half of it.
const SENT_BYTES_LIMIT: usize = 256 * 1024;
/// What a pipe is enlarged to once it was full: several batches of records, so that neither side waits for the other after
/// each. Most tasks never fill the pipe that they start with.
const ENLARGED_PIPE_BYTES: i32 = 256 * 1024;

/// The descriptor and the records that it has not taken yet.
#[derive(Debug)]
pub(crate) struct EventPipe {
    /// `None`: the other end is closed.
    sink: Option<File>,
    is_terminal: bool,
    /// Whether it was tried to make the pipe hold more.
    is_enlarged: bool,
    backlog: Vec<u8>,
    sent: usize,
}

impl EventPipe {
    /// Takes a descriptor over. Only this end becomes non-blocking: the other end of a pipe or a socket
    /// is an open file of its own.
    pub(crate) fn new(sink: OwnedFd) -> io::Result<Self> {
        let is_terminal = sink.is_terminal();
        if !is_terminal {
            let flags = OFlag::from_bits_retain(fcntl(&sink, FcntlArg::F_GETFL)?);
            fcntl(&sink, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        let sink = Some(File::from(sink));
        Ok(Self { sink, is_terminal, is_enlarged: false, backlog: Vec::new(), sent: 0 })
    }

    /// The descriptor of an open pipe, for poll(2).
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.sink.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn has_backlog(&self) -> bool {
        self.sent < self.backlog.len()
    }

    /// Whether a supervisor is there, and nothing waits for it that is a sign of life itself.
    pub(crate) fn wants_sign_of_life(&self) -> bool {
        self.sink.is_some() && !self.is_terminal && !self.has_backlog()
    }

    /// How much waits for the supervisor.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog.len() - self.sent
    }

    /// Sends `bytes` after the backlog, keeping what the pipe does not take.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let Some(sink) = &self.sink else { return };
        if self.is_terminal {
            show(sink, bytes);
            return;
        }
        if self.has_backlog() {
            self.backlog.extend_from_slice(bytes);
            self.sent += self.write(self.sent, None);
            if !self.has_backlog() {
                self.backlog.clear();
                self.sent = 0;
            } else if self.sent > SENT_BYTES_LIMIT.max(self.backlog.len() / 2) {
                self.backlog.drain(..self.sent);
                self.sent = 0;
            }
            return;
        }
        let sent = self.write(0, Some(bytes));
        if self.sink.is_some() {
            self.backlog.extend_from_slice(&bytes[sent..]);
        }
    }

    /// Writes `bytes`, or the backlog from `start`, until the pipe is full; says how much it took.
    fn write(&mut self, start: usize, bytes: Option<&[u8]>) -> usize {
        let mut count = 0;
        while let Some(sink) = &self.sink {
            let source = bytes.unwrap_or(&self.backlog[start..]);
            let rest = &source[count..];
            if rest.is_empty() {
                return count;
            }
            match rustix::io::write(sink, rest) {
                Ok(written) => count += written,
                Err(rustix::io::Errno::INTR) => {}
                // A socket stays as it is, and so does a pipe where the user has too many large ones.
                Err(rustix::io::Errno::AGAIN)
                    if !std::mem::replace(&mut self.is_enlarged, true)
                        && fcntl(sink, FcntlArg::F_SETPIPE_SZ(ENLARGED_PIPE_BYTES)).is_ok() => {}
                Err(rustix::io::Errno::AGAIN) => return count,
                Err(_) => self.close(),
            }
        }
        0
    }

    /// Sends the backlog, waiting for the supervisor until `deadline`.
    pub(crate) fn drain(&mut self, deadline: Instant) {
        while self.has_backlog()
            && let Some(sink) = &self.sink
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let mut fds = [PollFd::new(sink.as_fd(), PollFlags::POLLOUT)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, timeout).is_err_and(|errno| errno != Errno::EINTR) {
                return;
            }
            self.send(&[]);
        }
    }

    /// Closes the descriptor and drops the backlog.
    pub(crate) fn close(&mut self) {
        self.sink = None;
        self.backlog = Vec::new();
        self.sent = 0;
    }
}

/// Records as text, for a person who tries the worker in a shell.
fn show(mut terminal: &File, mut bytes: &[u8]) {
    let mut text = String::new();
    while let Ok(Some(total)) = record::frame_bytes(bytes) {
        let (frame, rest) = bytes.split_at(total);
        text += &describe(frame);
        bytes = rest;
    }
    // A terminal that is gone needs no text.
    drop(terminal.write_all(text.as_bytes()));
}

fn describe(frame: &[u8]) -> String {
    let line = |seq: u64, stream: Stream, data: &[u8]| {
        format!("{seq:>6} {} {:?}\n", stream.as_str(), String::from_utf8_lossy(data))
    };
    match record::decode_frame(frame.to_vec().into()) {
        Ok(Record { seq, body: Body::Output(output), .. }) => {
            line(seq, output.stream, &output.data)
        }
        Ok(Record { seq, body: Body::Lines(lines), .. }) => {
            (seq..).zip(lines.iter()).map(|(seq, data)| line(seq, lines.stream(), data)).collect()
        }
        Ok(Record { seq, body: Body::Event(event), .. }) => {
            format!("{seq:>6} {}\n", serde_json::to_string(&event).unwrap_or_default())
        }
        Ok(Record { body: Body::Notice(notice), .. }) => format!("       {notice:?}\n"),
        Err(error) => format!("       {error}\n"),
    }
}
