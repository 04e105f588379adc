//! The supervisor's commands, one JSON text a line: on stdin, after an adoption on the worker's socket.
//!
//! Reads only what poll(2) has announced, so a blocking descriptor (a terminal) is as good as any.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, bail};
use cc_link::{
    LINK_VERSION,
    control::{CONTROL_LINE_BYTES_LIMIT, Control},
    spec::TaskSpec,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::buffer::spare_capacity;

const READ_BYTES: usize = 64 * 1024;

/// The source of commands, and what was read of an unfinished line.
#[derive(Debug)]
pub(crate) struct ControlChannel {
    /// `None`: the supervisor is gone.
    source: Option<OwnedFd>,
    pending: Vec<u8>,
}

/// The result of a read.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub commands: Vec<Control>,
    /// Messages about lines that are no commands, for the supervisor's log.
    pub complaints: Vec<String>,
}

impl ControlChannel {
    /// A channel from which `pending` has been read already.
    pub(crate) fn new(source: OwnedFd, pending: Vec<u8>) -> Self {
        Self { source: Some(source), pending }
    }

    /// Whether the supervisor's end was open at the last read.
    pub(crate) fn is_open(&self) -> bool {
        self.source.is_some()
    }

    /// The descriptor of an open channel, for poll(2).
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn close(&mut self) {
        self.source = None;
    }

    /// Waits for the first line, which must be a task spec of this worker's version. `None`: the channel ended before
    /// anything came.
    pub(crate) fn read_spec(&mut self) -> anyhow::Result<Option<TaskSpec>> {
        let mut searched = 0;
        while !self.pending[searched..].contains(&b'\n') {
            searched = self.pending.len();
            self.wait()?;
            self.fill()?;
            if !self.is_open() && self.pending.is_empty() {
                return Ok(None);
            }
            if !self.is_open() {
                bail!("stdin ended in the middle of a task spec");
            }
        }
        // Commands that came in the same read stay for the loop.
        let end = self.pending.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = self.pending.split_off(end);
        let first = std::mem::replace(&mut self.pending, rest);
        let control = Control::from_line(&first).context("task spec")?;
        let Control::Run(spec) = control else {
            bail!("the first command must be \"run\" with a task spec");
        };
        if spec.link_version != LINK_VERSION {
            bail!(
                "the supervisor speaks link version {}, this worker {LINK_VERSION}: \
                 install both from one build",
                spec.link_version
            );
        }
        Ok(Some(*spec))
    }

    /// Reads once and returns the complete lines. To be called when poll(2) reports input.
    pub(crate) fn receive(&mut self) -> anyhow::Result<Received> {
        self.fill()?;
        Ok(self.pending())
    }

    /// The complete lines that were read already.
    pub(crate) fn pending(&mut self) -> Received {
        let mut received = Received::default();
        for line in self.lines() {
            match Control::from_line(&line) {
                Ok(control) => received.commands.push(control),
                Err(error) => received.complaints.push(format!("control line: {error}")),
            }
        }
        received
    }

    /// Sleeps until there is something to read, or the end.
    fn wait(&self) -> anyhow::Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut fds = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(anyhow::Error::from(errno).context("poll")),
        }
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        self.pending.reserve(READ_BYTES);
        let is_at_end = loop {
            match rustix::io::read(source, spare_capacity(&mut self.pending)) {
                Ok(count) => break count == 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break false,
                // A broken control channel is a supervisor that is gone.
                Err(_) => break true,
            }
        };
        if is_at_end {
            self.close();
        }
        if self.pending.len() > CONTROL_LINE_BYTES_LIMIT {
            bail!("a control line is longer than {CONTROL_LINE_BYTES_LIMIT} bytes");
        }
        Ok(())
    }

    /// Takes the whole lines off what was read.
    fn lines(&mut self) -> Vec<Vec<u8>> {
        let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.pending.split_off(end + 1);
        let whole = std::mem::replace(&mut self.pending, rest);
        whole
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
            .map(<[u8]>::to_vec)
            .collect()
    }
}
