//! The loop that turns while the main process lives.
//!
//! ```text
//!            clock, limit, command, SIGTERM,          grace over, Kill,
//!            supervisor lost                          supervisor lost
//!  Running ───────────────────────────▶ Ending ─────────────────────────▶ tree.kill
//!     │                                   │                                  │
//!     └── main process ended ─────────────┴── main process ended ───────────▶ finish: kill what is left,
//!                                                                            read the rest, terminal event
//! ```

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use cc_link::{
    control::Control,
    event::{EndReason, Event, Notice},
    record::Stream,
    spec::{OnSupervisorLoss, TaskSpec},
};
use cc_proctree::tree::Tree;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    capture::Capture,
    clocks::{Clocks, Due},
    control_channel::{ControlChannel, Received},
    ending::{self, Cause, End},
    journal::Journal,
    launch::Launched,
    signals::Signals,
};

/// One running task and everything that watches it.
#[derive(Debug)]
pub struct TaskLoop<'a> {
    spec: &'a TaskSpec,
    pid: i32,
    started: Instant,
    tree: Tree,
    capture: Capture,
    clocks: Clocks,
    journal: Journal,
    control: ControlChannel,
    signals: Signals,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Running,
    Ending { cause: Cause, kill_at: Instant },
}

/// What poll(2) announced.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    child: bool,
    stop: bool,
    control: bool,
    stdout: bool,
    stderr: bool,
    pipe_broken: bool,
}

impl<'a> TaskLoop<'a> {
    pub fn new(
        spec: &'a TaskSpec,
        launched: Launched,
        journal: Journal,
        control: ControlChannel,
        signals: Signals,
    ) -> Self {
        Self {
            spec,
            pid: launched.pid,
            started: launched.started,
            tree: launched.tree,
            capture: Capture::new(spec, launched.stdout, launched.stderr),
            clocks: Clocks::new(spec.deadlines, launched.started),
            journal,
            control,
            signals,
            phase: Phase::Running,
        }
    }

    /// Turns until the task has ended, and records how.
    pub fn run(mut self) -> anyhow::Result<()> {
        let early = self.control.pending();
        self.obey(early, Instant::now())?;
        while self.tree.main_status().is_none() {
            let now = Instant::now();
            self.check_clocks(now)?;
            self.check_limits(now)?;
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
            // Nobody listens at the moment; that is not the task's silence.
            self.clocks.output(now);
        }
        let Some(due) = self.clocks.due(now) else { return Ok(()) };
        let deadlines = &self.spec.deadlines;
        let seconds =
            |limit_ms: Option<u64>| Duration::from_millis(limit_ms.unwrap_or(0)).as_secs_f64();
        let cause = match due {
            Due::Total => Cause::new(
                EndReason::Timeout,
                format!("ran longer than its timeout of {} s", seconds(deadlines.total_ms)),
            ),
            Due::Silence => Cause::new(
                EndReason::IdleTimeout,
                format!("printed nothing for {} s (idle_timeout)", seconds(deadlines.silence_ms)),
            ),
            Due::FirstOutput => Cause::new(
                EndReason::IdleTimeout,
                format!("printed nothing in its first {} s", seconds(deadlines.first_output_ms)),
            ),
            Due::Linger => Cause::new(
                EndReason::Lingered,
                format!(
                    "printed its result and did not exit within {} s",
                    seconds(Some(deadlines.linger_ms))
                ),
            ),
        };
        self.begin_end(cause, now)
    }

    fn check_limits(&mut self, now: Instant) -> io::Result<()> {
        if self.capture.is_over_limit() {
            let limit = self.spec.bounds.output_bytes_limit;
            let error = format!("printed more than its output limit of {limit} bytes");
            self.begin_end(Cause::new(EndReason::OutputLimit, error), now)?;
        }
        if let Some(failure) = self.journal.log_failure() {
            let error = format!(
                "the task log {} could not be written: {failure}",
                self.spec.log_path.display()
            );
            self.begin_end(Cause::new(EndReason::ResourceLimit, error), now)?;
        }
        Ok(())
    }

    /// Asks the tree to end, once; the first cause is the one that counts.
    fn begin_end(&mut self, cause: Cause, now: Instant) -> io::Result<()> {
        if matches!(self.phase, Phase::Ending { .. }) {
            return Ok(());
        }
        self.journal.notice(Notice::Ending { reason: cause.reason });
        let kill_at = now + Duration::from_millis(self.spec.deadlines.grace_ms);
        self.phase = Phase::Ending { cause, kill_at };
        // Stopped clocks are of no use to an ending task: the grace is wall time.
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
    fn wait(&self, now: Instant) -> anyhow::Result<Ready> {
        let clock = match &self.phase {
            Phase::Running => self.clocks.next().map(|(moment, _)| moment),
            Phase::Ending { kill_at, .. } => Some(*kill_at),
        };
        let next = [clock, self.capture.next_partial()].into_iter().flatten().min();
        // Rounded up, so that the clock has run out when the sleep is over.
        let timeout = next.map_or(PollTimeout::NONE, |moment| {
            let left = moment.saturating_duration_since(now) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let pipe = self.journal.pipe();
        let reads = |fd| Some((fd, PollFlags::POLLIN));
        // A full pipe to the supervisor is the task's own full pipe, so that nothing is held here.
        let output = |stream| {
            self.capture.fd(stream).filter(|_| !self.journal.is_congested()).and_then(reads)
        };
        let wanted: [Option<(BorrowedFd<'_>, PollFlags)>; 6] = [
            reads(self.signals.child()),
            reads(self.signals.stop()),
            self.control.is_open().then(|| self.control.fd()).and_then(reads),
            output(Stream::Stdout),
            output(Stream::Stderr),
            // An error is reported also where nothing is asked for.
            pipe.is_open().then(|| {
                (
                    pipe.fd(),
                    if pipe.has_backlog() { PollFlags::POLLOUT } else { PollFlags::empty() },
                )
            }),
        ];
        let mut places = [None; 6];
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(wanted.len());
        for (place, (fd, flags)) in places
            .iter_mut()
            .zip(&wanted)
            .filter_map(|(place, wanted)| wanted.as_ref().map(|wanted| (place, wanted)))
        {
            *place = Some(fds.len());
            fds.push(PollFd::new(fd.as_fd(), *flags));
        }
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(anyhow::Error::from(errno).context("poll")),
        }
        let events = |index: usize| {
            places[index].and_then(|place| fds[place].revents()).unwrap_or(PollFlags::empty())
        };
        Ok(Ready {
            child: !events(0).is_empty(),
            stop: !events(1).is_empty(),
            control: !events(2).is_empty(),
            stdout: !events(3).is_empty(),
            stderr: !events(4).is_empty(),
            pipe_broken: events(5).intersects(PollFlags::POLLERR | PollFlags::POLLNVAL),
        })
    }

    fn handle(&mut self, ready: Ready) -> anyhow::Result<()> {
        let now = Instant::now();
        if ready.child || ready.stop {
            self.signals.clear();
            self.tree.reap()?;
        }
        for (is_ready, stream) in [(ready.stdout, Stream::Stdout), (ready.stderr, Stream::Stderr)] {
            if is_ready {
                self.read_output(stream, now)?;
            }
        }
        if ready.control {
            let received = self.control.receive()?;
            self.obey(received, now)?;
            if !self.control.is_open() {
                self.supervisor_lost(now);
            }
        }
        if ready.stop {
            let error = "the worker was told to stop by a signal";
            self.begin_end(Cause::new(EndReason::SupervisorLost, error), now)?;
        }
        if ready.pipe_broken {
            self.journal.pipe_broke();
            self.supervisor_lost(now);
        }
        Ok(())
    }

    fn read_output(&mut self, stream: Stream, now: Instant) -> io::Result<()> {
        let results = self.capture.results();
        if self.capture.read(stream, now, &mut self.journal)? {
            self.clocks.output(now);
        }
        if self.capture.results() > results {
            self.clocks.result(now);
        }
        self.clocks.set_background_in_flight(self.capture.is_background_in_flight(), now);
        Ok(())
    }

    fn obey(&mut self, received: Received, now: Instant) -> io::Result<()> {
        for complaint in received.complaints {
            crate::complain(format_args!("task {}: {complaint}", self.spec.task_id));
        }
        for command in received.commands {
            match command {
                Control::Pause => self.pause(now)?,
                Control::Resume => self.resume(now)?,
                Control::Cancel { reason } => {
                    if matches!(self.phase, Phase::Running) {
                        self.journal.event(Event::Canceled { reason });
                        self.begin_end(Cause::requested(reason), now)?;
                    }
                }
                Control::Kill { reason } => self.kill_now(Cause::requested(reason), now),
                Control::Ping { nonce } => self.journal.notice(Notice::Pong { nonce }),
                Control::Run(_) | Control::Adopt(_) => {
                    let task_id = &self.spec.task_id;
                    crate::complain(format_args!("task {task_id}: a worker runs one task only"));
                }
            }
        }
        Ok(())
    }

    fn supervisor_lost(&mut self, now: Instant) {
        match self.spec.on_supervisor_loss {
            OnSupervisorLoss::Keep => {}
            OnSupervisorLoss::Kill => {
                let error = "the supervisor went away while the task ran";
                self.kill_now(Cause::new(EndReason::SupervisorLost, error), now);
            }
        }
    }

    fn pause(&mut self, now: Instant) -> io::Result<()> {
        if matches!(self.phase, Phase::Running) && !self.clocks.is_paused() {
            self.tree.pause()?;
            self.clocks.pause(now);
            self.journal.event(Event::Paused);
        }
        Ok(())
    }

    fn resume(&mut self, now: Instant) -> io::Result<()> {
        if matches!(self.phase, Phase::Running) && self.clocks.is_paused() {
            self.tree.resume()?;
            self.clocks.resume(now);
            self.journal.event(Event::Resumed);
        }
        Ok(())
    }

    /// Kills what is left, reads what is left, and records the end.
    fn finish(mut self) -> anyhow::Result<()> {
        let killed = self.tree.kill(self.signals.child())?;
        let duration = self.started.elapsed();
        self.capture.finish(Instant::now(), &mut self.journal)?;
        let cause = match self.phase {
            Phase::Running => None,
            Phase::Ending { cause, .. } => Some(cause),
        };
        self.journal.event(ending::completed(End {
            spec: self.spec,
            pid: self.pid,
            cause,
            status: self.tree.main_status(),
            killed,
            duration,
            counts: self.capture.counts(),
            summary: self.capture.summary(),
        }));
        self.journal.close();
        Ok(())
    }
}
