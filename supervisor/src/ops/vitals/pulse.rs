//! Whether the event loop turns: a timer of it reports here each time that it is served.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{config::limits, ops::clock};

#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// Milliseconds since `began`.
    last_beat_ms: AtomicU64,
}

impl Pulse {
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), last_beat_ms: AtomicU64::new(0) }
    }

    /// The loop has served its timer.
    pub(crate) fn beat(&self) {
        let elapsed_ms = clock::milliseconds(self.began.elapsed());
        self.last_beat_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    /// Whether the loop has served its timer lately.
    #[must_use]
    pub(crate) fn is_beating(&self) -> bool {
        self.is_beating_at(self.began.elapsed())
    }

    fn is_beating_at(&self, elapsed: Duration) -> bool {
        let last_beat = Duration::from_millis(self.last_beat_ms.load(Ordering::Relaxed));
        elapsed.saturating_sub(last_beat) <= limits::PULSE_MISSING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_has_not_served_its_timer_for_a_while_does_not_beat() {
        let pulse = Pulse::new();
        assert!(pulse.is_beating());
        let later = limits::PULSE_MISSING + Duration::from_millis(1);
        assert!(!pulse.is_beating_at(later));
        pulse.last_beat_ms.store(2, Ordering::Relaxed);
        assert!(pulse.is_beating_at(later));
    }
}
