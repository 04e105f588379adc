//! Log lines that a peer can provoke as often as it likes: the first is logged at once, and of those that follow within an
//! interval only how many they were.
//!
//! Each place in the code has a static [`Repeated`] of its own for each kind of line, so one kind cannot silence another.
//! The line with the count comes at the end of the interval whether or not anything follows.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};

/// At most one line comes in so long.
const INTERVAL: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug)]
pub(crate) struct Repeated {
    /// What the line with the count says.
    what: &'static str,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When a line may be logged again.
    silent_until: Option<Instant>,
    /// Lines that were not logged since the last one.
    more: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Logged,
    /// The first that is not logged. The count is due then.
    CountedUntil(Instant),
    Counted,
}

impl Repeated {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, state: Mutex::new(State { silent_until: None, more: 0 }) }
    }

    /// Has `line` log at once, or counts it.
    pub(crate) fn log(&'static self, line: impl FnOnce()) {
        match self.take(Instant::now()) {
            Fate::Logged => line(),
            Fate::Counted => {}
            Fate::CountedUntil(due) => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(self.tell_count(due))),
                Err(_) => self.log_count(),
            },
        }
    }

    fn take(&self, now: Instant) -> Fate {
        let mut state = self.state();
        match state.silent_until {
            Some(due) if now < due => {
                state.more += 1;
                if state.more == 1 { Fate::CountedUntil(due) } else { Fate::Counted }
            }
            // The count is about to be logged, late.
            Some(_) if state.more > 0 => {
                state.more += 1;
                Fate::Counted
            }
            Some(_) | None => {
                state.silent_until = Some(now + INTERVAL);
                Fate::Logged
            }
        }
    }

    async fn tell_count(&'static self, due: Instant) {
        tokio::time::sleep_until(due).await;
        self.log_count();
    }

    fn log_count(&self) {
        let more = self.take_count(Instant::now());
        tracing::warn!(more, "{}: and {more} more", self.what);
    }

    /// The count is a line as well: the next one waits for another interval.
    fn take_count(&self, now: Instant) -> u64 {
        let mut state = self.state();
        state.silent_until = Some(now + INTERVAL);
        std::mem::take(&mut state.more)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_logged_at_once_and_the_rest_of_the_interval_is_one_count() {
        let lines = Repeated::new("refused");
        let start = Instant::now();
        assert_eq!(lines.take(start), Fate::Logged);
        assert_eq!(lines.take(start), Fate::CountedUntil(start + INTERVAL));
        for _ in 0..10_000 {
            assert_eq!(lines.take(start + INTERVAL / 2), Fate::Counted);
        }
        assert_eq!(lines.take_count(start + INTERVAL), 10_001);
        let next = lines.take(start + INTERVAL);
        assert_eq!(next, Fate::CountedUntil(start + 2 * INTERVAL), "the count was the line");
    }

    #[test]
    fn after_a_quiet_interval_a_line_is_logged_at_once_again() {
        let lines = Repeated::new("refused");
        let start = Instant::now();
        assert_eq!(lines.take(start), Fate::Logged);
        assert_eq!(lines.take(start + INTERVAL), Fate::Logged);
    }
}
