//! How often something may happen: so many times at once, and in the long run once in each interval.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) at_once: u32,
    pub(super) interval: Duration,
}

impl Pace {
    /// Whether it may happen now; then it is counted. `forgotten` is when all that has happened so far no longer counts.
    pub(super) fn allows(self, forgotten: &mut Instant, now: Instant) -> bool {
        let next = (*forgotten).max(now) + self.interval;
        let is_allowed = next <= now + self.interval * self.at_once;
        if is_allowed {
            *forgotten = next;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_happens_some_times_at_once_and_then_at_a_steady_rate() {
        let pace = Pace { at_once: 50, interval: Duration::from_millis(20) };
        let now = Instant::now();
        let mut forgotten = now;
        assert_eq!((0..1_000).filter(|_| pace.allows(&mut forgotten, now)).count(), 50);
        assert!(pace.allows(&mut forgotten, now + pace.interval));
        assert!(!pace.allows(&mut forgotten, now + pace.interval));
    }
}
