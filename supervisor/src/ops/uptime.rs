//! The clock of timeouts for others, such as workers and clients: it stands still while this process cannot run.
//!
//! After a stop (SIGSTOP, a paused container, a frozen cgroup) all timers of the monotonic clock expire at once, although
//! the workers were stopped as well. So a worker's silence, a client's absence and a batch's time are measured with
//! this clock. `keep` reads it periodically, so that a gap between two reads shows; see [`cc_gap`].
//!
//! Its instants lie behind those of the monotonic clock by the sum of all gaps. They must be compared only with each
//! other. There is one such clock in the process, as there is one monotonic clock.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cc_gap::{Lateness, SETTLE};
use tokio::time::{self, Instant};

use crate::config::limits;

/// A timeout has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

static METER: Mutex<Meter> = Mutex::new(Meter::new());

/// The current instant. It costs a read of the monotonic clock and a lock that is held briefly.
#[must_use]
pub(crate) fn now() -> Instant {
    read(None)
}

/// Reads the clock periodically for as long as it is polled, so that gaps are found. Each time `served` hears how late
/// the event loop has served the timer.
pub(crate) async fn keep(served: impl Fn(Duration)) {
    loop {
        METER.lock().unwrap_or_else(PoisonError::into_inner).is_kept = true;
        let until = Instant::now() + limits::UPTIME_CHECK;
        time::sleep_until(until).await;
        served(until.elapsed());
        read(Some(until));
    }
}

/// Returns when the clock has reached `at`.
pub(crate) async fn sleep_until(at: Instant) {
    loop {
        let left = at.saturating_duration_since(now());
        if left.is_zero() {
            return;
        }
        let until = Instant::now() + left;
        time::sleep_until(until).await;
        read(Some(until));
    }
}

/// Returns when `duration` has passed on this clock.
pub(crate) async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// The output of the future, if it is ready within `duration` on this clock.
///
/// # Errors
/// It is not ready by then.
pub(crate) async fn timeout<F: Future>(
    duration: Duration,
    future: F,
) -> Result<F::Output, TimedOut> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = sleep(duration) => Err(TimedOut),
    }
}

fn read(promised: Option<Instant>) -> Instant {
    let real = Instant::now();
    let (shown, gap) = METER.lock().unwrap_or_else(PoisonError::into_inner).read(real, promised);
    if let Some(gap) = gap {
        let seconds = gap.as_secs_f64();
        tracing::warn!(seconds, "this process could not run for a while: its clocks stood still");
    }
    shown
}

/// The state of the clock.
#[derive(Debug)]
struct Meter {
    /// The monotonic clock at the latest read.
    seen: Option<Instant>,
    /// The sum of all gaps.
    skipped: Duration,
    /// When the clock starts again after a gap.
    settled: Option<Instant>,
    lateness: Lateness,
    /// [`keep`] runs: a long time without a read is a gap.
    is_kept: bool,
}

impl Meter {
    const fn new() -> Self {
        Self {
            seen: None,
            skipped: Duration::ZERO,
            settled: None,
            lateness: Lateness::new(),
            is_kept: false,
        }
    }

    /// The current instant, and the gap that this read has found. `promised` is when the caller was to be woken.
    fn read(&mut self, real: Instant, promised: Option<Instant>) -> (Instant, Option<Duration>) {
        let seen = self.seen.replace(real).unwrap_or(real);
        let took = real.saturating_duration_since(seen);
        let promised = promised.map(|promised| promised.saturating_duration_since(seen));
        let asked = promised.unwrap_or(limits::UPTIME_CHECK).min(limits::UPTIME_CHECK);
        let mut gap = None;
        // When in this time the process could not run is unknown: none of it counts.
        if self.is_kept && self.lateness.is_gap(asked, took) {
            self.skipped += took;
            self.settled = Some(real + SETTLE);
            gap = Some(took);
        } else if let Some(settled) = self.settled {
            self.skipped += settled.min(real).saturating_duration_since(seen);
            self.settled = Some(settled).filter(|settled| *settled > real);
        }
        (real.checked_sub(self.skipped).unwrap_or(real), gap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn kept() -> Meter {
        Meter { is_kept: true, ..Meter::new() }
    }

    /// How far it has gone after each look; the looks are so many milliseconds apart.
    fn shown(meter: &mut Meter, steps_ms: &[u64]) -> Vec<u64> {
        let start = Instant::now();
        let mut real = start;
        let began = meter.read(real, None).0;
        let look = |step: &u64| {
            real += MS(*step);
            u64::try_from((meter.read(real, None).0 - began).as_millis()).unwrap()
        };
        steps_ms.iter().map(look).collect()
    }

    #[test]
    fn while_the_process_runs_it_is_the_real_clock() {
        let steps = [5_000, 10, 0, 6_999, 300];
        assert_eq!(shown(&mut kept(), &steps), [5_000, 5_010, 5_010, 12_009, 12_309]);
    }

    #[test]
    fn it_stands_still_during_a_stop_and_for_a_second_after_it() {
        let steps = [5_000, 3_600_000, 400, 400, 400, 5_000];
        assert_eq!(shown(&mut kept(), &steps), [5_000, 5_000, 5_000, 5_000, 5_200, 10_200]);
    }

    #[test]
    fn whoever_was_to_be_woken_earlier_finds_a_shorter_stop() {
        let start = Instant::now();
        let mut meter = kept();
        let began = meter.read(start, None).0;
        assert_eq!(meter.read(start + MS(4_000), Some(start + MS(1_000))).0, began);
    }

    #[test]
    fn a_process_that_is_woken_late_every_time_is_slow_and_not_stopped() {
        let steps = [9_000; 20];
        let last = *shown(&mut kept(), &steps).last().unwrap();
        assert!(last >= 16 * 9_000, "{last}");
    }

    #[test]
    fn where_nobody_looks_often_a_long_time_is_no_gap() {
        assert_eq!(shown(&mut Meter::new(), &[1_000_000]), [1_000_000]);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_nor_faster_than_the_real_clock(
            steps in prop::collection::vec(prop_oneof![0_u64..5_000, 0_u64..100_000], 1..80),
        ) {
            let mut before = 0;
            for (shown, step) in shown(&mut kept(), &steps).into_iter().zip(&steps) {
                prop_assert!((before..=before + step).contains(&shown));
                before = shown;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_gives_what_is_ready_and_ends_what_is_not() {
        assert_eq!(timeout(MS(10), async { 7 }).await, Ok(7));
        assert_eq!(timeout(MS(10), std::future::pending::<()>()).await, Err(TimedOut));
    }
}
