//! The places among the sessions: as many connections may have a session as the configuration in force says.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts the places that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<watch::Sender<usize>>);

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<watch::Sender<usize>>);

impl Places {
    /// How many are taken.
    #[must_use]
    pub(super) fn taken(&self) -> usize {
        *self.0.borrow()
    }

    /// Takes one of `limit` places, when there is one.
    pub(super) async fn take(&self, limit: usize) -> Place {
        let mut taken = self.0.subscribe();
        loop {
            let is_taken = self.0.send_if_modified(|taken| {
                let has_room = *taken < limit;
                *taken += usize::from(has_room);
                has_room
            });
            if is_taken {
                return Place(Arc::clone(&self.0));
            }
            // The sender is in `self`.
            drop(taken.changed().await);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A place, if there is one at once.
    async fn taken(places: &Places, limit: usize) -> Option<Place> {
        timeout(Duration::from_millis(1), places.take(limit)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for_and_free_again_when_it_is_dropped() {
        let places = Places::default();
        let first = taken(&places, 1).await.unwrap();
        assert!(taken(&places, 1).await.is_none());
        assert_eq!(places.taken(), 1);
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { drop(places.take(1).await) }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap();
        assert_eq!(places.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_lower_limit_those_that_have_a_place_keep_it_and_no_other_gets_one() {
        let places = Places::default();
        let mut many = Vec::new();
        for _ in 0..3 {
            many.push(taken(&places, 3).await.unwrap());
        }
        assert!(taken(&places, 2).await.is_none());
        assert_eq!(places.taken(), 3);
        many.truncate(1);
        assert!(taken(&places, 2).await.is_some());
    }
}
