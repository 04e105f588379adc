//! By how much the wall clock deviates from the time in which this process could run.
//!
//! The wall clock is set by hand or from the network, and it continues while the machine sleeps and while this process
//! is stopped. Pure: both clocks are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::limits;

/// A smaller difference is no jump: the clocks are read one after the other, and the wall clock is slewed.
const TOLERANCE_MS: u64 = 2_000;

/// Both clocks at the last moment at which they agreed.
#[derive(Clone, Copy, Debug)]
pub(super) struct WallClock {
    wall_ms: u64,
    uptime: Instant,
}

impl WallClock {
    /// `wall_ms` is milliseconds since the Unix epoch, `uptime` the clock of [`crate::ops::uptime`].
    #[must_use]
    pub(super) fn new(wall_ms: u64, uptime: Instant) -> Self {
        Self { wall_ms, uptime }
    }

    /// How far the wall clock has jumped, in milliseconds; `None` while both agree. Each jump is returned once.
    pub(super) fn moved(&mut self, wall_ms: u64, uptime: Instant) -> Option<i64> {
        let ran = uptime.saturating_duration_since(self.uptime).as_millis();
        let ran_ms = i64::try_from(ran).unwrap_or(i64::MAX);
        let moved_ms = wall_ms.checked_signed_diff(self.wall_ms)?.saturating_sub(ran_ms);
        if moved_ms.unsigned_abs() <= TOLERANCE_MS {
            return None;
        }
        *self = Self::new(wall_ms, uptime);
        Some(moved_ms)
    }
}

/// How long to sleep until a time on the wall clock. Never long: a suspended machine stops the clock that the sleep
/// is measured by.
#[must_use]
pub(super) fn until(at_ms: Option<u64>, now_ms: u64) -> Duration {
    let wait = at_ms.map(|at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms)));
    wait.unwrap_or(limits::BATCH_CLOCK_CHECK).min(limits::BATCH_CLOCK_CHECK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn it_says_once_by_how_much_the_clock_was_set_in_either_direction() {
        let start = Instant::now();
        for by_ms in [10 * HOUR_MS, -10 * HOUR_MS] {
            let mut wall = WallClock::new(NOW_MS, start);
            let later = start + Duration::from_secs(60);
            let set_ms = (NOW_MS + 60_000).saturating_add_signed(by_ms);
            assert_eq!(wall.moved(set_ms, later), Some(by_ms));
            assert_eq!(wall.moved(set_ms + 1_000, later + Duration::from_secs(1)), None);
        }
    }

    #[test]
    fn a_clock_that_is_drawn_slowly_is_followed_now_and_then() {
        let start = Instant::now();
        let mut wall = WallClock::new(NOW_MS, start);
        let mut moved = 0;
        for second in 1..=20_000_u64 {
            // Half a thousandth faster.
            let wall_ms = NOW_MS + second * 1_000 + second / 2;
            moved += wall.moved(wall_ms, start + Duration::from_secs(second)).unwrap_or(0);
        }
        assert!((8_000..=10_000).contains(&moved), "{moved}");
    }
}
