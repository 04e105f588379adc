//! The wall clock as far as it may be believed when old things are removed by it.
//!
//! What a wrong clock has removed is gone. A clock that is wrong forward is wrong for a moment as a rule: until the network
//! has set it right after a start, or by a slip of somebody's hand. So a time that lies further ahead than has passed
//! since the last believed one is believed only when it has stayed so for a while; until then the time goes on from the
//! last believed one. A time that lies back removes less, and is believed at once.
//!
//! Pure: the wall clock and the time since the machine's start come in as arguments.

use std::time::Duration;

/// What the wall clock may be ahead at once.
const TOLERANCE_MS: i64 = 60_000;
/// At a start: what it may be ahead of the newest record of any earlier time.
const PLAUSIBLE_MS: u64 = 2 * 86_400_000;
/// How long a time ahead has to stay so. Not longer than what is kept by it.
const LONGEST_HOLD: Duration = Duration::from_secs(3_600);

/// See the module. Times are milliseconds, those of the wall clock since the Unix epoch.
#[derive(Debug)]
pub struct TrustedTime {
    hold_ms: u64,
    /// Between the time since the machine's start and the believed time.
    offset_ms: i64,
    /// The offset that the wall clock shows instead, and since when.
    claim: Option<(i64, u64)>,
}

impl TrustedTime {
    /// At a start; `newest_ms` is the newest time on record, and `keep` how long things are kept by this.
    #[must_use]
    pub fn new(wall_ms: u64, boot_ms: u64, newest_ms: Option<u64>, keep: Duration) -> Self {
        let hold = keep.min(LONGEST_HOLD);
        let believed_ms = newest_ms.map_or(wall_ms, |newest_ms| {
            if wall_ms.saturating_sub(newest_ms) <= PLAUSIBLE_MS { wall_ms } else { newest_ms }
        });
        Self {
            hold_ms: u64::try_from(hold.as_millis()).unwrap_or(u64::MAX),
            offset_ms: offset(believed_ms, boot_ms),
            claim: None,
        }
    }

    /// The time that may be believed now.
    pub fn now_ms(&mut self, wall_ms: u64, boot_ms: u64) -> u64 {
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
