//! The supervisor's commands on stdin, one JSON text a line.
//!
//! Reads only what poll(2) has announced, so a blocking descriptor (a terminal) is as good as any.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context, bail};
use cc_link::{
    LINK_VERSION,
    control::{CONTROL_LINE_BYTES_LIMIT, Control},
    spec::TaskSpec,
};

const READ_BYTES: usize = 64 * 1024;

/// Stdin, and what was read of an unfinished line.
#[derive(Debug)]
pub struct ControlChannel {
    stdin: io::Stdin,
    pending: Vec<u8>,
    is_open: bool,
}

/// What a reading brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Commands in order.
    pub commands: Vec<Control>,
    /// Lines that were none, as texts for the supervisor's log.
    pub complaints: Vec<String>,
}

impl ControlChannel {
    pub fn new() -> Self {
        Self { stdin: io::stdin(), pending: Vec::new(), is_open: true }
    }

    /// Whether the supervisor is still there, as far as this end knows.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    /// Waits for the first line, which must be a task spec of a version that this worker knows.
    pub fn read_spec(&mut self) -> anyhow::Result<TaskSpec> {
        let mut searched = 0;
        while !self.pending[searched..].contains(&b'\n') {
            searched = self.pending.len();
            self.fill()?;
            if !self.is_open {
                bail!("stdin ended before a task spec: this program is started by cc-supervisor");
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
                "the supervisor speaks link version {}, this worker {LINK_VERSION}: install both from one build",
                spec.link_version
            );
        }
        Ok(*spec)
    }

    /// Reads once and returns the whole lines. Call when poll(2) says that there is something.
    pub fn receive(&mut self) -> anyhow::Result<Received> {
        self.fill()?;
        Ok(self.pending())
    }

    /// The whole lines that were read already.
    pub fn pending(&mut self) -> Received {
        let mut received = Received::default();
        for line in self.lines() {
            match Control::from_line(&line) {
                Ok(control) => received.commands.push(control),
                Err(error) => received.complaints.push(format!("control line: {error}")),
            }
        }
        received
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        let start = self.pending.len();
        self.pending.resize(start + READ_BYTES, 0);
        let count = loop {
            match rustix::io::read(&self.stdin, &mut self.pending[start..]) {
                Ok(count) => break count,
                Err(rustix::io::Errno::INTR) => {}
                // A broken control channel is a supervisor that is gone.
                Err(_) => break 0,
            }
        };
        self.pending.truncate(start + count);
        self.is_open = count > 0;
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
