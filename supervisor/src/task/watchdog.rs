//! The clocks by which a supervisor watches a worker: is it alive, and does it keep its task's deadlines?
//!
//! The worker gives a sign of life every few seconds and enforces the deadlines; this notices when it does not. A worker
//! that is silent is asked before it is given up, whatever its age: if it was silent because this process could not run,
//! the answer comes at once. Pure: the caller says what happens and when, and [`Watchdog::next_check`] says when to check.
//! Called by [`crate::task::owner`] with the clock of [`crate::ops::uptime`], so that a worker which was stopped together
//! with this supervisor is not late.

use std::time::Duration;

use cc_link::{adopt::Adopted, spec::Deadlines};
use tokio::time::Instant;

use crate::config::limits;

/// What the owner has to do when a clock has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    Ping,
    /// The worker has failed: kill it.
    Hung(Hang),
}

/// How a worker has failed to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Hang {
    /// It sent neither `started` nor a terminal event.
    #[error("the worker did not start the task within {} s", limits::WORKER_START.as_secs())]
    Start,
    #[error(
        "the worker was unresponsive: it gave no sign of life for {} s",
        (limits::WORKER_SILENCE + limits::WORKER_ANSWER).as_secs()
    )]
    Unresponsive,
    /// The total deadline has passed, and it answers but does not end the task.
    #[error("the worker did not end the task at its total timeout of {} ms", .0.as_millis())]
    Overdue(Duration),
    #[error("the worker did not answer when the task's total timeout of {} ms had passed", .0.as_millis())]
    OverdueSilent(Duration),
    /// The grace period and the time for the kill have passed without a terminal event.
    #[error("the worker did not end the task within its grace period of {} ms", .0.as_millis())]
    Grace(Duration),
}

impl Hang {
    /// The time that it had.
    #[must_use]
    pub(crate) fn limit(self) -> Duration {
        match self {
            Self::Start => limits::WORKER_START,
            Self::Unresponsive => limits::WORKER_SILENCE + limits::WORKER_ANSWER,
            Self::Overdue(limit) | Self::OverdueSilent(limit) | Self::Grace(limit) => limit,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Starting {
        until: Instant,
    },
    Running,
    /// The total deadline has passed: the worker gets a little time to report that it is ending the task.
    Overdue {
        until: Instant,
    },
    Ending {
        until: Instant,
    },
}

/// A ping that has no answer yet.
#[derive(Clone, Copy, Debug)]
struct Ping {
    sent_at: Instant,
    patience: Duration,
}

/// The clocks of one worker.
#[derive(Debug)]
pub(crate) struct Watchdog {
    grace: Duration,
    total: Option<Duration>,
    /// What was left of `total` at `moving_since`.
    left: Option<Duration>,
    /// `None` while the task is paused or not started.
    moving_since: Option<Instant>,
    phase: Phase,
    ping: Option<Ping>,
    /// The last sign of life.
    heard_at: Instant,
}

impl Watchdog {
    /// The clocks of a worker that was just started.
    #[must_use]
    pub(crate) fn new(now: Instant, deadlines: &Deadlines) -> Self {
        let total = deadlines.total_ms.map(Duration::from_millis);
        Self {
            grace: Duration::from_millis(deadlines.grace_ms),
            total,
            left: total,
            moving_since: None,
            phase: Phase::Starting { until: now + limits::WORKER_START },
            ping: None,
            heard_at: now,
        }
    }

    /// The clocks of an adopted worker, by what it has reported.
    #[must_use]
    pub(crate) fn of_adopted(now: Instant, adopted: &Adopted) -> Self {
        let mut watchdog = Self::new(now, &adopted.deadlines);
        watchdog.left = adopted.total_left_ms.map(Duration::from_millis);
        watchdog.started(now);
        if adopted.is_paused {
            watchdog.paused(now);
        }
        if adopted.ending.is_some() {
            // When the end began is not known: the worker gets the whole time again.
            watchdog.ending(now);
        }
        watchdog
    }

    /// The main process runs.
    pub(crate) fn started(&mut self, now: Instant) {
        if let Phase::Starting { .. } = self.phase {
            self.phase = Phase::Running;
            self.moving_since = Some(now);
            self.heard(now);
        }
    }

    /// The tree is stopped, and so is the clock of the total deadline.
    pub(crate) fn paused(&mut self, now: Instant) {
        if let Some(since) = self.moving_since.take() {
            self.left = self.left.map(|left| left.saturating_sub(now - since));
        }
    }

    /// The tree runs again.
    pub(crate) fn resumed(&mut self, now: Instant) {
        self.moving_since.get_or_insert(now);
    }

    /// The worker has the order to end the task, or reports that it does.
    pub(crate) fn ending(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Ending { .. }) {
            self.phase = Phase::Ending { until: now + self.grace + limits::WORKER_KILL };
        }
    }

    /// The worker has the order to kill the task: there is no grace.
    pub(crate) fn killing(&mut self, now: Instant) {
        self.phase = Phase::Ending { until: now + limits::WORKER_KILL };
    }

    /// The worker has sent anything.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.ping = None;
    }

    /// When to call [`Watchdog::check`] next.
    #[must_use]
    pub(crate) fn next_check(&self) -> Instant {
        let of_phase = match self.phase {
            Phase::Starting { until } => return until,
            Phase::Overdue { until } | Phase::Ending { until } => Some(until),
            Phase::Running => self.overdue_at(),
        };
        let of_ping = match self.ping {
            Some(ping) => ping.sent_at + ping.patience,
            None => self.heard_at + limits::WORKER_SILENCE,
        };
        of_phase.map_or(of_ping, |of_phase| of_phase.min(of_ping))
    }

    pub(crate) fn check(&mut self, now: Instant) -> Option<Alarm> {
        match self.phase {
            Phase::Starting { until } => {
                return (now >= until).then_some(Alarm::Hung(Hang::Start));
            }
            Phase::Ending { until } if now >= until => {
                return Some(Alarm::Hung(Hang::Grace(self.grace)));
            }
            Phase::Overdue { until } if now >= until => {
                return Some(Alarm::Hung(Hang::Overdue(self.total.unwrap_or_default())));
            }
            Phase::Running if self.overdue_at().is_some_and(|at| now >= at) => {
                self.phase = Phase::Overdue { until: now + self.grace + limits::WORKER_KILL };
                return Some(self.send_ping(now, limits::WORKER_LATE_PONG));
            }
            Phase::Overdue { .. } | Phase::Running | Phase::Ending { .. } => {}
        }
        match self.ping {
            Some(ping) if now >= ping.sent_at + ping.patience => {
                Some(Alarm::Hung(match self.phase {
                    Phase::Overdue { .. } => Hang::OverdueSilent(self.total.unwrap_or_default()),
                    Phase::Starting { .. } | Phase::Running | Phase::Ending { .. } => {
                        Hang::Unresponsive
                    }
                }))
            }
            Some(_) => None,
            None if now >= self.heard_at + limits::WORKER_SILENCE => {
                Some(self.send_ping(now, limits::WORKER_ANSWER))
            }
            None => None,
        }
    }

    fn send_ping(&mut self, now: Instant, patience: Duration) -> Alarm {
        self.ping = Some(Ping { sent_at: now, patience });
        Alarm::Ping
    }

    fn overdue_at(&self) -> Option<Instant> {
        Some(self.moving_since? + self.left? + limits::WORKER_LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn deadlines(total_s: Option<u64>) -> Deadlines {
        Deadlines {
            total_ms: total_s.map(|seconds| seconds * 1000),
            silence_ms: None,
            first_output_ms: None,
            linger_ms: 10_000,
            grace_ms: 10_000,
        }
    }

    fn watchdog(total_s: Option<u64>) -> (Watchdog, Instant) {
        let now = Instant::now();
        (Watchdog::new(now, &deadlines(total_s)), now)
    }

    /// Checks whenever it is due, answering each ping if `answers`, until the worker counts as hung.
    fn hang(
        watchdog: &mut Watchdog,
        start: Instant,
        answers: bool,
        most: Duration,
    ) -> Option<(Duration, Hang)> {
        loop {
            let now = watchdog.next_check();
            if now > start + most {
                return None;
            }
            match watchdog.check(now) {
                Some(Alarm::Hung(hang)) => return Some((now - start, hang)),
                Some(Alarm::Ping) if answers => watchdog.heard(now),
                Some(Alarm::Ping) | None => {}
            }
        }
    }

    #[test]
    fn a_worker_that_never_starts_its_task_is_hung_after_ten_seconds() {
        let (mut watchdog, now) = watchdog(None);
        assert_eq!(hang(&mut watchdog, now, true, 60 * SECOND), Some((10 * SECOND, Hang::Start)));
    }

    #[test]
    fn a_worker_that_answers_lives_on_and_one_that_does_not_is_hung() {
        let (mut watchdog, now) = watchdog(None);
        watchdog.started(now);
        assert_eq!(hang(&mut watchdog, now, true, 3600 * SECOND), None);
        let (mut watchdog, now) = self::watchdog(None);
        watchdog.started(now);
        let (after, hang) = hang(&mut watchdog, now, false, 3600 * SECOND).unwrap();
        assert_eq!((after, hang), (10 * SECOND, Hang::Unresponsive));
    }

    #[test]
    fn a_worker_that_gives_a_sign_of_life_every_five_seconds_is_not_asked_and_is_hung_ten_seconds_after_the_last()
     {
        let (mut watchdog, now) = watchdog(None);
        watchdog.started(now);
        for turn in 1..=1000 {
            let at = now + turn * 5 * SECOND;
            assert!(watchdog.next_check() > at);
            watchdog.heard(at);
        }
        let last = now + 5000 * SECOND;
        let (after, hang) = hang(&mut watchdog, last, false, 3600 * SECOND).unwrap();
        assert_eq!((after, hang), (10 * SECOND, Hang::Unresponsive));
    }

    #[test]
    fn a_worker_that_was_not_heard_because_nothing_ran_here_is_asked_first() {
        let (mut watchdog, now) = watchdog(None);
        watchdog.started(now);
        let late = now + 60 * SECOND;
        assert_eq!(watchdog.check(late), Some(Alarm::Ping));
        assert_eq!(watchdog.next_check(), late + 3 * SECOND);
    }

    #[test]
    fn a_worker_that_is_silent_while_it_ends_its_task_does_not_have_the_whole_grace() {
        let (mut watchdog, now) = watchdog(None);
        watchdog.grace = 600 * SECOND;
        watchdog.started(now);
        watchdog.ending(now);
        let (after, hang) = hang(&mut watchdog, now, false, 3600 * SECOND).unwrap();
        assert_eq!((after, hang), (10 * SECOND, Hang::Unresponsive));
    }

    #[test]
    fn a_stopped_worker_cannot_outwait_the_total_deadline() {
        let (mut watchdog, now) = watchdog(Some(2));
        watchdog.started(now);
        let (after, hang) = hang(&mut watchdog, now, false, 60 * SECOND).unwrap();
        assert_eq!(after, 5 * SECOND, "the deadline, a second, and two for an answer");
        assert_eq!(hang, Hang::OverdueSilent(2 * SECOND));
    }

    #[test]
    fn a_worker_that_answers_but_ignores_the_deadline_is_hung_too() {
        let (mut watchdog, now) = watchdog(Some(2));
        watchdog.started(now);
        let (_, hang) = hang(&mut watchdog, now, true, 60 * SECOND).unwrap();
        assert_eq!(hang, Hang::Overdue(2 * SECOND));
    }

    #[test]
    fn an_adopted_task_has_what_was_left_of_its_time() {
        let now = Instant::now();
        let adopted = |is_paused, ending| Adopted {
            link_version: 1,
            task_id: "id".to_owned(),
            started: cc_events::Started {
                pid: 7,
                worker_pid: 6,
                containment: cc_events::Containment::Subreaper,
                isolation: Default::default(),
            },
            end_offset: 8,
            last_seq: 0,
            is_paused,
            ending,
            deadlines: deadlines(Some(10)),
            total_left_ms: Some(4_000),
            leaf: None,
        };
        let running = Watchdog::of_adopted(now, &adopted(false, None));
        assert_eq!(running.overdue_at(), Some(now + 5 * SECOND));
        let mut paused = Watchdog::of_adopted(now, &adopted(true, None));
        assert_eq!(paused.overdue_at(), None);
        paused.resumed(now + 100 * SECOND);
        assert_eq!(paused.overdue_at(), Some(now + 105 * SECOND));
        let ending = cc_events::EndReason::Timeout;
        let ending = Watchdog::of_adopted(now, &adopted(false, Some(ending)));
        let Phase::Ending { until } = ending.phase else { panic!("{ending:?}") };
        assert_eq!(until, now + 16 * SECOND, "the grace period and the kill bound");
    }

    #[test]
    fn paused_time_does_not_count() {
        let (mut watchdog, now) = watchdog(Some(10));
        watchdog.started(now);
        watchdog.paused(now + 4 * SECOND);
        watchdog.resumed(now + 1004 * SECOND);
        assert_eq!(watchdog.overdue_at(), Some(now + 1011 * SECOND));
    }

    #[test]
    fn after_the_grace_period_and_the_kill_bound_a_worker_is_hung() {
        let (mut watchdog, now) = watchdog(None);
        watchdog.started(now);
        watchdog.ending(now + SECOND);
        watchdog.ending(now + 5 * SECOND);
        let (after, hang) = hang(&mut watchdog, now, true, 60 * SECOND).unwrap();
        assert_eq!((after, hang), (17 * SECOND, Hang::Grace(10 * SECOND)));
        watchdog.killing(now);
        let Phase::Ending { until } = watchdog.phase else { panic!("{watchdog:?}") };
        assert_eq!(until, now + 6 * SECOND);
    }
}
