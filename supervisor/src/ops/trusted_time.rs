//! The wall clock as far as it is believed when old logs are removed by it.
//!
//! What a wrong clock has removed is gone. A clock that is ahead is usually so for a moment: until NTP has corrected it
//! after boot, or after an operator's slip. So a wall clock that is further ahead than the time that has passed is believed
//! only when it has stayed so for a while; until then the believed time advances from the last believed value. A clock
//! that is set back removes less, and is believed at once.
//!
//! Pure: the wall clock and the time since boot are arguments.

use std::time::Duration;

use crate::ops::clock;

/// How far the wall clock may be ahead and still be believed at once.
const TOLERANCE_MS: i64 = 60_000;
/// How far it may be ahead of the newest record at a start.
const PLAUSIBLE_MS: u64 = 2 * 86_400_000;
/// How long it must stay ahead before it is believed; less where logs are kept for less.
const LONGEST_HOLD: Duration = Duration::from_secs(3_600);

/// See the module. Times are milliseconds, those of the wall clock since the Unix epoch.
#[derive(Debug)]
pub(crate) struct TrustedTime {
    hold_ms: u64,
    /// From the time since boot to the believed time.
    offset_ms: i64,
    /// The offset that the wall clock shows instead, and since when (time since boot).
    claim: Option<(i64, u64)>,
}

impl TrustedTime {
    /// At a start. `newest_ms` is the newest time on record, `keep` how long logs are kept.
    #[must_use]
    pub(crate) fn new(wall_ms: u64, boot_ms: u64, newest_ms: Option<u64>, keep: Duration) -> Self {
        let hold = keep.min(LONGEST_HOLD);
        let believed_ms = newest_ms.map_or(wall_ms, |newest_ms| {
            if wall_ms.saturating_sub(newest_ms) <= PLAUSIBLE_MS { wall_ms } else { newest_ms }
        });
        Self {
            hold_ms: clock::milliseconds(hold),
            offset_ms: offset(believed_ms, boot_ms),
            claim: None,
        }
    }

    /// Takes a reading of both clocks; returns the time that is believed.
    pub(crate) fn now_ms(&mut self, wall_ms: u64, boot_ms: u64) -> u64 {
        let offset_ms = offset(wall_ms, boot_ms);
        if offset_ms.saturating_sub(self.offset_ms) <= TOLERANCE_MS {
            self.believe(offset_ms);
            return wall_ms;
        }
        let since_ms = match self.claim {
            Some((claimed_ms, since_ms))
                if claimed_ms.abs_diff(offset_ms) <= TOLERANCE_MS.unsigned_abs() =>
            {
                since_ms
            }
            Some(_) | None => {
                self.claim = Some((offset_ms, boot_ms));
                boot_ms
            }
        };
        if boot_ms.saturating_sub(since_ms) >= self.hold_ms {
            self.believe(offset_ms);
            return wall_ms;
        }
        boot_ms.saturating_add_signed(self.offset_ms)
    }

    fn believe(&mut self, offset_ms: i64) {
        self.offset_ms = offset_ms;
        self.claim = None;
    }
}

fn offset(wall_ms: u64, boot_ms: u64) -> i64 {
    wall_ms.checked_signed_diff(boot_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;
    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;
    const MONTH: Duration = Duration::from_secs(30 * 86_400);

    fn started(newest_ms: Option<u64>) -> TrustedTime {
        TrustedTime::new(NOW_MS, 0, newest_ms, MONTH)
    }

    #[test]
    fn a_clock_that_is_a_year_ahead_for_a_second_is_not_believed() {
        let mut time = started(None);
        assert_eq!(time.now_ms(NOW_MS + 60_000, 60_000), NOW_MS + 60_000);
        assert_eq!(time.now_ms(NOW_MS + 365 * DAY_MS, 120_000), NOW_MS + 120_000);
        assert_eq!(time.now_ms(NOW_MS + 121_000, 121_000), NOW_MS + 121_000);
        // Nor when that happens again and again.
        for hour in 1..100 {
            let boot_ms = hour * HOUR_MS;
            assert_eq!(time.now_ms(NOW_MS + 365 * DAY_MS, boot_ms), NOW_MS + boot_ms);
            assert_eq!(
                time.now_ms(NOW_MS + boot_ms + 1_000, boot_ms + 1_000),
                NOW_MS + boot_ms + 1_000
            );
        }
    }

    #[test]
    fn one_that_stays_so_for_an_hour_is_and_so_is_one_that_is_set_back_at_once() {
        let mut time = started(None);
        let ahead_ms = NOW_MS + 10 * DAY_MS;
        assert_eq!(time.now_ms(ahead_ms, 0), NOW_MS);
        assert_eq!(time.now_ms(ahead_ms + HOUR_MS - 1, HOUR_MS - 1), NOW_MS + HOUR_MS - 1);
        assert_eq!(time.now_ms(ahead_ms + HOUR_MS, HOUR_MS), ahead_ms + HOUR_MS);
        assert_eq!(time.now_ms(NOW_MS, HOUR_MS + 1), NOW_MS);
    }

    #[test]
    fn time_in_which_the_machine_slept_has_passed() {
        let mut time = started(None);
        assert_eq!(time.now_ms(NOW_MS + 9 * HOUR_MS, 9 * HOUR_MS), NOW_MS + 9 * HOUR_MS);
    }

    #[test]
    fn at_a_start_a_clock_far_ahead_of_all_records_has_to_stay_so_first() {
        assert_eq!(started(Some(NOW_MS - DAY_MS)).now_ms(NOW_MS, 0), NOW_MS);
        let newest_ms = NOW_MS - 40 * DAY_MS;
        let mut time = started(Some(newest_ms));
        assert_eq!(time.now_ms(NOW_MS, 0), newest_ms);
        assert_eq!(time.now_ms(NOW_MS + HOUR_MS, HOUR_MS), NOW_MS + HOUR_MS);
        // A clock that is behind the records removes nothing that is not old by it.
        assert_eq!(started(Some(NOW_MS + DAY_MS)).now_ms(NOW_MS, 0), NOW_MS);
    }

    #[test]
    fn what_is_kept_for_seconds_waits_no_longer_than_that() {
        let mut time = TrustedTime::new(NOW_MS, 0, None, Duration::from_secs(2));
        let ahead_ms = NOW_MS + HOUR_MS;
        assert_eq!(time.now_ms(ahead_ms, 0), NOW_MS);
        assert_eq!(time.now_ms(ahead_ms + 2_000, 2_000), ahead_ms + 2_000);
    }
}
