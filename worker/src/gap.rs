//! The loop's turns, with sleeps cut into pieces that show when the worker could not run.
//!
//! A worker that was stopped together with its task wakes up late, and all clocks have run out at once. The length of the
//! gap is given back to them; see [`cc_gap`]. It is not known when in its last sleep the worker was stopped, so nothing of
//! that sleep counts, and sleeps are short where a clock is near. A stop may also come while the worker is at work, which
//! takes no time otherwise. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

use cc_gap::{Lateness, SETTLE};

/// Longest sleep while a clock runs. Short enough that a stop of more than this is always seen, long enough that
/// a silent task costs next to nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// No sleep is cut shorter than this.
const SHORTEST_PIECE: Duration = Duration::from_secs(1);
/// So many pieces fit into what is left of the nearest clock.
const PIECES: u32 = 4;

/// What the worker does, sleep and work in turn.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Of its sleeps, and of its work: being punctual at the one says nothing about the other.
    asleep: Lateness,
    at_work: Lateness,
    doing: Doing,
    since: Instant,
    /// When the nearest clock runs out, as far as it is known.
    clock: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Working,
    /// Until this moment, or until something happens.
    Sleeping(Option<Instant>),
}

impl Turns {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            asleep: Lateness::default(),
            at_work: Lateness::default(),
            doing: Doing::Working,
            since: now,
            clock: None,
        }
    }

    /// When to wake up at the latest, where the nearest clock runs out at `clock` and something else is due at
    /// `other`.
    pub(crate) fn sleep(
        &mut self,
        now: Instant,
        clock: Option<Instant>,
        other: Option<Instant>,
    ) -> Option<Instant> {
        let piece = clock.map(|clock| {
            let left = clock.saturating_duration_since(now);
            now + left.min((left / PIECES).clamp(SHORTEST_PIECE, LONGEST_SLEEP))
        });
        let until = piece.into_iter().chain(other).min();
        (self.doing, self.since, self.clock) = (Doing::Sleeping(until), now, clock);
        until
    }

    /// To be called on waking up, and when the work is done: what is to be given back to the clocks, nothing as a rule.
    pub(crate) fn work(&mut self, now: Instant) -> Duration {
        let since = std::mem::replace(&mut self.since, now);
        let took = now.saturating_duration_since(since);
        let (lateness, asked) = match std::mem::replace(&mut self.doing, Doing::Working) {
            Doing::Working => (&mut self.at_work, Duration::ZERO),
            Doing::Sleeping(Some(until)) => {
                (&mut self.asleep, until.saturating_duration_since(since))
            }
            // No clock runs.
            Doing::Sleeping(None) => return Duration::ZERO,
        };
        if !lateness.is_gap(asked, took) {
            return Duration::ZERO;
        }
        // The task resumes at the same moment: it gets the time to print something.
        let left = self.clock.map_or(SETTLE, |clock| clock.saturating_duration_since(since));
        let settle = if lateness.is_first() { SETTLE.saturating_sub(left) } else { Duration::ZERO };
        took + settle
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Sleeps until a clock of `limit_ms` has run out, each sleep as late as `late_ms` says. How long that took and
    /// how many sleeps.
    fn run_out(limit_ms: u64, mut late_ms: impl FnMut(usize) -> u64) -> (u64, usize) {
        let start = Instant::now();
        let (mut turns, mut clock, mut now) = (Turns::new(start), start + MS(limit_ms), start);
        for count in 0.. {
            if clock <= now {
                return (u64::try_from((now - start).as_millis()).unwrap(), count);
            }
            now = turns.sleep(now, Some(clock), None).unwrap() + MS(late_ms(count));
            clock += turns.work(now);
            clock += turns.work(now);
        }
        unreachable!("it returns")
    }

    #[test]
    fn a_worker_that_runs_wakes_up_seldom_and_its_clock_runs_out_on_time() {
        assert_eq!(run_out(86_400_000, |_| 0).0, 86_400_000);
        let (took, sleeps) = run_out(300_000, |_| 0);
        assert_eq!(took, 300_000);
        assert!(sleeps <= 45, "{sleeps}");
    }

    #[test]
    fn a_stop_is_given_back_whole_and_at_most_what_was_slept_before_it_too() {
        for stopped_at in 0..10 {
            let (took, _) =
                run_out(60_000, |count| if count == stopped_at { 3_600_000 } else { 0 });
            let late = took - 60_000;
            assert!((3_600_000..=3_610_000).contains(&late), "stop {stopped_at}: {late}");
        }
    }

    #[test]
    fn after_a_stop_in_its_last_moment_a_clock_leaves_the_task_a_second() {
        let start = Instant::now();
        let mut turns = Turns::new(start);
        let clock = start + MS(10);
        turns.sleep(start, Some(clock), None);
        let woken = start + MS(60_000);
        assert_eq!(clock + turns.work(woken), woken + MS(1_000));
    }

    #[test]
    fn a_stop_while_it_works_is_given_back_too() {
        let start = Instant::now();
        let mut turns = Turns::new(start);
        turns.sleep(start, Some(start + MS(60_000)), None);
        assert_eq!(turns.work(start + MS(1_000)), Duration::ZERO);
        assert_eq!(turns.work(start + MS(9_000)), MS(8_000));
        turns.sleep(start + MS(9_000), Some(start + MS(68_000)), None);
        assert_eq!(turns.work(start + MS(10_000)), Duration::ZERO);
        assert_eq!(turns.work(start + MS(10_100)), Duration::ZERO);
    }

    #[test]
    fn where_no_clock_runs_nothing_wakes_the_worker() {
        let now = Instant::now();
        let mut turns = Turns::new(now);
        assert_eq!(turns.sleep(now, None, None), None);
        assert_eq!(turns.work(now + MS(1_000_000)), Duration::ZERO);
        assert_eq!(turns.sleep(now, None, Some(now + MS(100))), Some(now + MS(100)));
    }

    #[test]
    fn on_a_machine_that_wakes_it_late_every_time_a_clock_runs_out_all_the_same() {
        let (took, _) = run_out(300_000, |_| 5_000);
        assert!(took < 3 * 300_000, "{took}");
        let (took, _) = run_out(10_000, |_| 60_000);
        assert!(took < 6 * 70_000, "{took}");
    }

    proptest! {
        #[test]
        fn a_clock_never_runs_out_early_and_always_in_the_end(
            limit_ms in 1_u64..400_000,
            late_ms in prop::collection::vec(prop_oneof![Just(0), 0_u64..2_000, 2_000_u64..100_000], 1..50),
        ) {
            // As late again and again, without end.
            let (took, sleeps) = run_out(limit_ms, |count| late_ms[count % late_ms.len()]);
            prop_assert!(took >= limit_ms);
            prop_assert!(sleeps < 2_000, "{} sleeps", sleeps);
        }
    }
}
