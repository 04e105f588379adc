//! What is counted of workers and keepers that end as they should not, and the alert when that happens too often.
//!
//! Called where such an end is noticed: by the spawner for keepers, by [`crate::task::worker_lost`] for workers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::{
    config::RestartLimit,
    ops::{
        health::{Condition, Health},
        metrics::{AbnormalEnd, Metrics},
        uptime,
    },
};

/// Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Supervision {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    intensity: Arc<Mutex<Intensity>>,
}

impl Supervision {
    #[must_use]
    pub(crate) fn new(metrics: Arc<Metrics>, health: Arc<Health>, limit: RestartLimit) -> Self {
        let intensity = Arc::new(Mutex::new(Intensity::new(limit)));
        Self { metrics, health, intensity }
    }

    #[must_use]
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    #[must_use]
    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// A worker ended before its task had a terminal event.
    pub(crate) fn worker_lost(&self, how: AbnormalEnd) {
        self.metrics.workers.lost(how);
        self.ended_abnormally();
    }

    /// A keeper has died, or does not answer.
    pub(crate) fn keeper_lost(&self) {
        self.metrics.workers.keeper_lost();
        self.ended_abnormally();
    }

    /// One look at all processes for what dead workers have left.
    pub(crate) fn swept(&self) {
        self.metrics.workers.swept();
    }

    fn ended_abnormally(&self) {
        let mut intensity = self.intensity();
        let Some(count) = intensity.ended(uptime::now()) else { return };
        let RestartLimit { count: most, window } = intensity.limit;
        let text = format!(
            "at least {count} workers or keepers have ended abnormally within {} s, more than the {most} of --restart-limit: the \
             log has the reason of each; look for what kills them, such as a lack of memory; this ends by itself",
            window.as_secs()
        );
        self.health.raise(Condition::RestartRate, text);
        if !std::mem::replace(&mut intensity.is_watched, true) {
            tokio::spawn(self.clone().clear_in_time());
        }
    }

    /// Clears the condition when there were few enough ends in the last window.
    async fn clear_in_time(self) {
        loop {
            let next = {
                let mut intensity = self.intensity();
                let next = intensity.next(uptime::now());
                if next.is_none() {
                    intensity.is_watched = false;
                    self.health.clear(Condition::RestartRate);
                }
                next
            };
            match next {
                Some(next) => uptime::sleep_until(next).await,
                None => return,
            }
        }
    }

    fn intensity(&self) -> MutexGuard<'_, Intensity> {
        self.intensity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The times of the latest abnormal ends. Pure: time comes in as an argument.
#[derive(Debug)]
struct Intensity {
    limit: RestartLimit,
    /// At most one more than the limit is needed to know that there are too many.
    ends: VecDeque<Instant>,
    /// A task clears the condition in time.
    is_watched: bool,
}

impl Intensity {
    fn new(limit: RestartLimit) -> Self {
        Self { limit, ends: VecDeque::new(), is_watched: false }
    }

    /// Notes an end. Returns how many there were within the window, if they are too many.
    fn ended(&mut self, now: Instant) -> Option<usize> {
        self.forget(now);
        if self.ends.len() > self.limit.count {
            self.ends.pop_front();
        }
        self.ends.push_back(now);
        (self.ends.len() > self.limit.count).then_some(self.ends.len())
    }

    /// When there may be few enough; `None`: there are.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        self.forget(now);
        let too_many = self.ends.len() > self.limit.count;
        self.ends.front().filter(|_| too_many).map(|first| *first + self.limit.window)
    }

    fn forget(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|first| *first + self.limit.window <= now) {
            self.ends.pop_front();
        }
    }
}

#[cfg(test)]
impl Supervision {
    pub(crate) fn for_tests(metrics: Arc<Metrics>) -> Self {
        let limit = RestartLimit { count: 5, window: std::time::Duration::from_secs(60) };
        Self::new(metrics, Arc::default(), limit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_more_than_the_limit_within_the_window_is_too_many_until_the_oldest_is_old_enough() {
        let mut intensity = Intensity::new(RestartLimit { count: 2, window: 60 * SECOND });
        let start = Instant::now();
        assert_eq!(intensity.ended(start), None);
        assert_eq!(intensity.ended(start + 61 * SECOND), None);
        assert_eq!(intensity.ended(start + 62 * SECOND), None);
        assert_eq!(intensity.ended(start + 63 * SECOND), Some(3));
        assert_eq!(intensity.ended(start + 64 * SECOND), Some(3));
        let next = intensity.next(start + 65 * SECOND).unwrap();
        assert_eq!(next, start + 122 * SECOND, "the oldest that is needed to be too many");
        assert_eq!(intensity.next(next), None);
    }

    #[test]
    fn a_limit_of_none_makes_every_abnormal_end_an_alert() {
        let mut intensity = Intensity::new(RestartLimit { count: 0, window: 60 * SECOND });
        assert_eq!(intensity.ended(Instant::now()), Some(1));
    }
}
