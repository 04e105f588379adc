//! What the task loop sleeps on, and what woke it.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use cc_link::record::Stream;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// What a watched descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A child has ended.
    Child,
    /// A signal to stop has arrived.
    Stop,
    /// The supervisor has sent something, or closed its end.
    Control,
    /// The task prints something, or closes its end.
    Output(Stream),
    /// There is room for records, or the other end was closed.
    Pipe,
    /// The worker's socket and the connections to it.
    Adoption,
}

/// What poll(2) reported.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    pub child: bool,
    pub stop: bool,
    pub control: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub pipe_broken: bool,
    pub adoption: bool,
}

/// The descriptors of one sleep.
#[derive(Debug, Default)]
pub(crate) struct Watched<'a> {
    sources: Vec<Source>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> Watched<'a> {
    /// Adds a descriptor, if there is one. An error and a hang-up are reported also where no `flags` ask
    /// for anything.
    pub(crate) fn add(&mut self, source: Source, fd: Option<BorrowedFd<'a>>, flags: PollFlags) {
        if let Some(fd) = fd {
            self.sources.push(source);
            self.fds.push(PollFd::new(fd, flags));
        }
    }

    /// Sleeps until something happens, or until the moment given.
    pub(crate) fn sleep(mut self, now: Instant, until: Option<Instant>) -> anyhow::Result<Ready> {
        // Rounded up, so that the clock has run out when the sleep is over.
        let timeout = until.map_or(PollTimeout::NONE, |moment| {
            let left = moment.saturating_duration_since(now) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut self.fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(anyhow::Error::from(errno).context("poll")),
        }
        let mut ready = Ready::default();
        for (source, fd) in self.sources.iter().zip(&self.fds) {
            let events = fd.revents().unwrap_or(PollFlags::empty());
            if !events.is_empty() {
                ready.note(*source, events);
            }
        }
        Ok(ready)
    }
}

impl Ready {
    fn note(&mut self, source: Source, events: PollFlags) {
        match source {
            Source::Child => self.child = true,
            Source::Stop => self.stop = true,
            Source::Control => self.control = true,
            Source::Output(Stream::Stdout) => self.stdout = true,
            Source::Output(Stream::Stderr) => self.stderr = true,
            Source::Pipe => {
                let broken = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
                self.pipe_broken = events.intersects(broken);
            }
            Source::Adoption => self.adoption = true,
        }
    }
}
