//! The loop that runs while the main process lives.
//!
//! ```text
//!            clock, limit, command, SIGTERM,          grace over, Kill,
//!            supervisor lost                          supervisor lost
//!  Running ───────────────────────────▶ Ending ─────────────────────────▶ tree.kill
//!     │                                   │                                  │
//!     └── main process ended ─────────────┴── main process ended ───────────▶ finish: kill what is left,
//!                                                                            read the rest, terminal event
//! ```
//! The supervisor may be lost, and another one may adopt the worker, at any moment of this. With
//! [`OnSupervisorLoss::Keep`](cc_link::spec::OnSupervisorLoss::Keep) this does not affect the task. What a supervisor asks
//! for is in [`supervisor`].

mod supervisor;

use std::{
    io,
    time::{Duration, Instant},
};

use cc_events::{Dropped, EndReason, Event, Started};
use cc_link::{notice::Notice, record::Stream, spec::TaskSpec};
use cc_proctree::tree::Tree;
use nix::poll::PollFlags;

use crate::{
    adoption::AdoptionSocket,
    capture::Capture,
    clocks::Clocks,
    control_channel::ControlChannel,
    ending::{self, Cause, End},
    gap::Turns,
    heartbeat::Heartbeat,
    journal::Journal,
    launch::Launched,
    readiness::{Ready, Source, Watched},
    signals::Signals,
};

/// One running task and everything that watches it.
#[derive(Debug)]
pub(crate) struct TaskLoop<'a> {
    spec: &'a TaskSpec,
    facts: Started,
    started: Instant,
    tree: Tree,
    capture: Capture,
    clocks: Clocks,
    turns: Turns,
    heartbeat: Heartbeat,
    journal: Journal,
    channels: Channels,
    /// Whether the supervisor came by the socket: one connection for both directions.
    is_adopted: bool,
    phase: Phase,
}

/// What the worker receives from.
#[derive(Debug)]
pub(crate) struct Channels {
    pub control: ControlChannel,
    /// `Some` while a task runs.
    pub adoption: Option<AdoptionSocket>,
    pub signals: Signals,
}

#[derive(Debug)]
enum Phase {
    Running,
    Ending { cause: Cause, kill_at: Instant },
}

impl<'a> TaskLoop<'a> {
    pub(crate) fn new(
        spec: &'a TaskSpec,
        launched: Launched,
        journal: Journal,
        channels: Channels,
    ) -> Self {
        Self {
            spec,
            started: launched.started,
            tree: launched.tree,
            capture: Capture::new(spec, launched.stdout, launched.stderr),
            clocks: Clocks::new(spec.deadlines, launched.started),
            turns: Turns::new(launched.started),
            heartbeat: Heartbeat::new(spec, launched.started, launched.facts.containment),
            facts: launched.facts,
            journal,
            channels,
            is_adopted: false,
            phase: Phase::Running,
        }
    }

    /// Runs until the task has ended, and records how.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let early = self.channels.control.pending();
        self.obey(early, Instant::now())?;
        while self.tree.main_status().is_none() {
            let now = Instant::now();
            self.skip_gap(now);
            self.check_clocks(now)?;
            self.check_limits(now)?;
            self.heartbeat.beat(now, &mut self.journal);
            self.capture.flush_partials(now, &mut self.journal);
            self.journal.flush();
            if matches!(&self.phase, Phase::Ending { kill_at, .. } if *kill_at <= now) {
                break;
            }
            let ready = self.wait(now)?;
            self.handle(ready)?;
        }
        self.finish()
    }

    fn check_clocks(&mut self, now: Instant) -> io::Result<()> {
        if self.journal.is_congested() {
            // The task's output is not read at the moment, which is not the task's silence.
            self.clocks.output(now);
        }
        let Some(due) = self.clocks.due(now) else { return Ok(()) };
        let cause = Cause::clock(due, self.spec, self.capture.work().results > 0);
        self.begin_end(cause, now)
    }

    fn check_limits(&mut self, now: Instant) -> io::Result<()> {
        if self.capture.is_over_limit() {
            let limit = self.spec.bounds.output_bytes_limit;
            let error = format!("printed more than its output limit of {limit} bytes");
            self.begin_end(Cause::new(EndReason::OutputLimit, error), now)?;
        }
        if let Some(cause) = self.log_failure() {
            self.begin_end(cause, now)?;
        }
        Ok(())
    }

    fn log_failure(&self) -> Option<Cause> {
        self.journal.log_failure().map(|failure| Cause::log_failure(failure, self.spec))
    }

    /// Asks the tree to end, once; the first cause is the one that counts.
    fn begin_end(&mut self, cause: Cause, now: Instant) -> io::Result<()> {
        if matches!(self.phase, Phase::Ending { .. }) {
            return Ok(());
        }
        self.journal.notice(Notice::Ending { reason: cause.reason });
        let kill_at = now + Duration::from_millis(self.spec.deadlines.grace_ms);
        self.phase = Phase::Ending { cause, kill_at };
        // The grace is wall time, also for a paused task.
        self.clocks.resume(now);
        self.tree.ask_to_end()
    }

    /// Ends the task without any grace.
    fn kill_now(&mut self, cause: Cause, now: Instant) {
        match &mut self.phase {
            Phase::Ending { kill_at, .. } => *kill_at = now,
            Phase::Running => {
                self.journal.notice(Notice::Ending { reason: cause.reason });
                self.phase = Phase::Ending { cause, kill_at: now };
            }
        }
    }

    /// Sleeps until something happens or a clock runs out.
    fn wait(&mut self, now: Instant) -> anyhow::Result<Ready> {
        let until = self.sleep_until(now);
        let Channels { control, adoption, signals } = &self.channels;
        let mut watched = Watched::default();
        watched.add(Source::Child, Some(signals.child()), PollFlags::POLLIN);
        watched.add(Source::Stop, Some(signals.stop()), PollFlags::POLLIN);
        watched.add(Source::Control, control.fd(), PollFlags::POLLIN);
        // A full pipe to the supervisor is the task's own full pipe, so that nothing is held here.
        if !self.journal.is_congested() {
            for stream in [Stream::Stdout, Stream::Stderr] {
                watched.add(Source::Output(stream), self.capture.fd(stream), PollFlags::POLLIN);
            }
        }
        let pipe = self.journal.pipe();
        let room = if pipe.has_backlog() { PollFlags::POLLOUT } else { PollFlags::empty() };
        watched.add(Source::Pipe, pipe.fd(), room);
        for fd in adoption.iter().flat_map(AdoptionSocket::fds) {
            watched.add(Source::Adoption, Some(fd), PollFlags::POLLIN);
        }
        watched.sleep(now, until)
    }

    fn sleep_until(&mut self, now: Instant) -> Option<Instant> {
        let clock = match &self.phase {
            Phase::Running => self.clocks.next().map(|(moment, _)| moment),
            Phase::Ending { kill_at, .. } => Some(*kill_at),
        };
        let listen = self.channels.adoption.as_ref().and_then(AdoptionSocket::next);
        let beat = self.heartbeat.next(&self.journal);
        let other = [self.capture.next_partial(), listen, beat].into_iter().flatten().min();
        self.turns.sleep(now, clock, other)
    }

    /// Gives the clocks back the time in which nothing could run.
    fn skip_gap(&mut self, now: Instant) {
        let gap = self.turns.work(now);
        if gap.is_zero() {
            return;
        }
        self.clocks.skip(gap, now);
        match &mut self.phase {
            Phase::Running => {}
            Phase::Ending { kill_at, .. } => *kill_at += gap,
        }
    }

    fn handle(&mut self, ready: Ready) -> anyhow::Result<()> {
        let now = Instant::now();
        self.skip_gap(now);
        if ready.child || ready.stop {
            self.channels.signals.clear();
            self.tree.reap()?;
        }
        for (is_ready, stream) in [(ready.stdout, Stream::Stdout), (ready.stderr, Stream::Stderr)] {
            if is_ready {
                self.read_output(stream, now)?;
            }
        }
        if ready.control {
            let received = self.channels.control.receive()?;
            self.obey(received, now)?;
            if !self.channels.control.is_open() {
                self.supervisor_lost(now);
            }
        }
        if ready.stop {
            let error = "the worker was told to stop by a signal";
            self.begin_end(Cause::new(EndReason::SupervisorLost, error), now)?;
        }
        if ready.pipe_broken {
            self.journal.close_pipe();
            self.supervisor_lost(now);
        }
        let listen = self.channels.adoption.as_ref().and_then(AdoptionSocket::next);
        if ready.adoption || listen.is_some_and(|moment| moment <= now) {
            // Last: what was announced above came from the earlier supervisor.
            self.receive_adopters(now)?;
        }
        Ok(())
    }

    fn read_output(&mut self, stream: Stream, now: Instant) -> io::Result<()> {
        if self.capture.read(stream, now, &mut self.journal)? {
            self.clocks.output(now);
            self.clocks.work(self.capture.work(), now);
        }
        Ok(())
    }

    /// Kills what is left, reads what is left, and records the end.
    fn finish(mut self) -> anyhow::Result<()> {
        // The kill may take seconds.
        self.heartbeat.before_kill(Instant::now(), &mut self.journal);
        let killed = self.tree.kill(self.channels.signals.child())?;
        self.heartbeat.after_kill(killed);
        let duration = self.started.elapsed();
        self.capture.finish(Instant::now(), &mut self.journal)?;
        // The end must know whether the log has taken all of it.
        self.journal.flush();
        let dropped = self.journal.dropped();
        if dropped != Dropped::default() {
            self.journal.event(Event::OutputDropped(dropped));
        }
        let mut counts = self.capture.counts();
        counts.dropped_lines += dropped.lines;
        counts.dropped_bytes += dropped.bytes;
        let log_failure = self.log_failure();
        let cause = match self.phase {
            Phase::Running => log_failure,
            Phase::Ending { cause, .. } => Some(cause),
        };
        self.journal.event(ending::completed(End {
            spec: self.spec,
            pid: self.facts.pid,
            cause,
            status: self.tree.main_status(),
            killed,
            duration,
            counts,
            summary: self.capture.summary(),
        }));
        self.journal.seal();
        // Only now: a supervisor that finds no socket, or whose connection is closed, reads a log that is complete.
        drop(self.channels.adoption);
        self.journal.leave();
        Ok(())
    }
}
