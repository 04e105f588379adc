//! When starts are stopped because the worker program is broken, and when it is tried again. Pure: time spans come out.
//!
//! ```text
//!            so many failed starts in a row            the wait is over, and a worker without a task works
//!   Closed ─────────────────────────────────▶ Open ─────────────────────────────────────────────────▶ Closed
//!                                              │ ▲
//!                                              └─┘ it does not: the wait doubles
//! ```
//! A start that works closes it too. If starts fail again soon after that, the wait is as long as it was.

use std::time::Duration;

/// Failed starts in a row that open it: one or two may be a worker that was killed.
const FAILURES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Starts that work before the wait is short again.
const FORGOTTEN_AFTER: u32 = 20;

#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    successes: u32,
    wait: Duration,
    is_open: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 0, successes: 0, wait: FIRST_WAIT, is_open: false }
    }
}

impl Breaker {
    /// A start failed. Returns how long to wait before the program is tried, if that opened the breaker.
    pub(super) fn failed(&mut self) -> Option<Duration> {
        self.failures += 1;
        self.successes = 0;
        if self.is_open || self.failures < FAILURES {
            return None;
        }
        self.is_open = true;
        Some(self.wait)
    }

    /// The program was tried in vain. Returns how long to wait before the next attempt.
    pub(super) fn tried_in_vain(&mut self) -> Duration {
        // A task that was started before the program broke may have closed it meanwhile.
        self.is_open = true;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.wait
    }

    /// A worker works. Returns whether that closed the breaker.
    pub(super) fn worked(&mut self) -> bool {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        if self.successes >= FORGOTTEN_AFTER {
            self.wait = FIRST_WAIT;
        }
        std::mem::replace(&mut self.is_open, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_open_it_and_a_start_that_works_between_them_does_not_count() {
        let mut breaker = Breaker::default();
        assert_eq!([breaker.failed(), breaker.failed()], [None, None]);
        assert!(!breaker.worked());
        assert_eq!([breaker.failed(), breaker.failed()], [None, None]);
        assert_eq!(breaker.failed(), Some(SECOND));
        assert_eq!(breaker.failed(), None, "it is open already");
        assert!(breaker.worked());
        assert!(!breaker.worked());
    }

    #[test]
    fn an_attempt_in_vain_opens_it_again_whatever_an_older_task_has_closed() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            let _opens = breaker.failed();
        }
        assert!(breaker.worked(), "a task of before has ended well");
        assert_eq!(breaker.tried_in_vain(), 2 * SECOND);
        assert!(breaker.worked(), "so that the next one that works is heard");
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_is_kept_until_starts_have_worked_for_a_while() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            let _opens = breaker.failed();
        }
        let waits: Vec<u64> = (0..8).map(|_| breaker.tried_in_vain().as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        breaker.worked();
        let again: Vec<_> = (0..3).map(|_| breaker.failed()).collect();
        assert_eq!(again, [None, None, Some(60 * SECOND)]);
        for _ in 0..FORGOTTEN_AFTER {
            breaker.worked();
        }
        let again: Vec<_> = (0..3).map(|_| breaker.failed()).collect();
        assert_eq!(again, [None, None, Some(SECOND)]);
    }
}
