//! Notices that a process could not run: it was stopped, its container was paused, its cgroup frozen.
//!
//! The kernel does not report this to the process, and the monotonic clock runs meanwhile. What the process can see is
//! that a sleep ended much later than it asked for. Such a sleep is a *gap*: clocks that bound how long something may take
//! must not count it, because what they bound was not running either.
//!
//! A machine under load wakes processes late too, and then the clocks must run. Load makes sleep after sleep late, a stop
//! makes one sleep late, so only a few gaps in a row are believed.
//!
//! A suspended machine needs none of this: its monotonic clock stands still. Pure: durations come in as arguments.

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

use std::time::Duration;

/// How late a sleep may end without being a gap.
pub const TOLERANCE: Duration = Duration::from_secs(2);
/// Gaps that are believed without a punctual sleep between them.
pub const GAPS_IN_A_ROW: u32 = 3;
/// How long after a gap the other processes can be expected to run again.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Judges the sleeps of one process, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    in_a_row: u32,
}

impl Lateness {
    /// Before the first sleep.
    #[must_use]
    pub const fn new() -> Self {
        Self { in_a_row: 0 }
    }

    /// Whether a sleep of `asked` that took `took` had a gap in it.
    pub fn is_gap(&mut self, asked: Duration, took: Duration) -> bool {
        if took <= asked.saturating_add(TOLERANCE) {
            self.in_a_row = 0;
            return false;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row <= GAPS_IN_A_ROW
    }

    /// Whether the gap that was just found is the first after a punctual sleep.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.in_a_row == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_sleep_that_is_a_little_late_or_was_cut_short_has_no_gap() {
        let mut lateness = Lateness::default();
        for took in [Duration::ZERO, SECOND, 5 * SECOND, 7 * SECOND] {
            assert!(!lateness.is_gap(5 * SECOND, took), "{took:?}");
        }
        assert!(lateness.is_gap(5 * SECOND, 7 * SECOND + Duration::from_millis(1)));
        assert!(lateness.is_first());
    }

    #[test]
    fn stops_one_after_another_are_gaps_each() {
        let mut lateness = Lateness::default();
        for _ in 0..100 {
            assert!(lateness.is_gap(SECOND, 60 * SECOND));
            assert!(!lateness.is_gap(SECOND, SECOND));
        }
    }

    proptest! {
        #[test]
        fn of_any_four_sleeps_in_a_row_one_counts(
            sleeps in prop::collection::vec((0_u64..10_000, 0_u64..60_000), 4..60),
        ) {
            let mut lateness = Lateness::default();
            let gaps: Vec<bool> = sleeps
                .iter()
                .map(|(asked, took)| {
                    lateness.is_gap(Duration::from_millis(*asked), Duration::from_millis(*took))
                })
                .collect();
            prop_assert!(gaps.windows(4).all(|four| four.contains(&false)));
        }
    }
}
