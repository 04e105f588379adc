//! How many sessions of each token have a connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::timeout};

use crate::config::limits;

/// Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenSlots {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<HashMap<Arc<str>, usize>>,
    freed: Notify,
}

/// The place of one session among those of its token, which it gives back when it is dropped.
#[derive(Debug)]
pub(super) struct TokenSlot {
    token: Arc<str>,
    slots: TokenSlots,
}

impl TokenSlots {
    /// A place, if fewer than `limit` are taken. Waits a moment for that of a session that is just ending.
    pub(super) async fn take(&self, token: Arc<str>, limit: Option<usize>) -> Option<TokenSlot> {
        let taking = async {
            loop {
                let freed = self.shared.freed.notified();
                if let Some(slot) = self.try_take(&token, limit) {
                    return slot;
                }
                freed.await;
            }
        };
        timeout(limits::SESSION_WAIT, taking).await.ok()
    }

    fn try_take(&self, token: &Arc<str>, limit: Option<usize>) -> Option<TokenSlot> {
        let mut counts = self.taken();
        let count = counts.entry(Arc::clone(token)).or_default();
        if limit.is_some_and(|limit| *count >= limit) {
            return None;
        }
        *count += 1;
        Some(TokenSlot { token: Arc::clone(token), slots: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TokenSlot {
    fn drop(&mut self) {
        let mut counts = self.slots.taken();
        if let Some(count) = counts.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.token);
            }
        }
        drop(counts);
        self.slots.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_has_no_more_places_than_its_limit_and_takes_none_of_another() {
        let slots = TokenSlots::default();
        let take = |token: &str| slots.take(token.into(), Some(1));
        let first = take("a").await;
        assert!(first.is_some());
        assert!(take("a").await.is_none());
        assert!(take("b").await.is_some());
        drop(first);
        assert!(take("a").await.is_some());
        assert!(slots.taken().is_empty());
    }
}
