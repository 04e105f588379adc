//! What the messages of all clients may take of memory together.
//!
//! One message may be long; very many at once may not. So a message that is longer than each connection's own share claims
//! its whole length before it is read, and keeps the claim until it is answered. A message waits for its claim where it
//! costs nothing, in the socket. It claims once and is read to its end then, so no two can wait for each other.
//!
//! The values of a message cost far more than its bytes once it is parsed, and are claimed from a budget of their own, until
//! its calls are answered. A claim on values is made by one that has its claim on bytes, never the other way round; an
//! `execute` that waits keeps them, so it goes on being served while the next message of its client waits for its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{config::limits, ops::memory};

/// A permit stands for so many bytes.
const UNIT_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) struct MessageBudget {
    units: Arc<Semaphore>,
    units_limit: usize,
    values: Arc<Semaphore>,
    /// Messages that wait for a claim on bytes.
    waiting: AtomicUsize,
}

/// A part of the budget, which is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    _units: OwnedSemaphorePermit,
}

impl Drop for Claim {
    fn drop(&mut self) {
        memory::may_have_shrunk();
    }
}

impl MessageBudget {
    /// The budget where a message has at most `message_bytes`: two of those fit at least.
    #[must_use]
    pub(crate) fn new(message_bytes: usize) -> Self {
        let bytes = limits::MESSAGES_BYTES.max(2 * cost(message_bytes));
        let units_limit = (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units_limit)),
            units_limit,
            values: Arc::new(Semaphore::new(limits::MESSAGE_VALUES)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A claim on a message of so many bytes, as soon as there is room. Claims are granted in their order.
    pub(crate) async fn claim(self: Arc<Self>, message_bytes: usize) -> Option<Claim> {
        let units = cost(message_bytes).div_ceil(UNIT_BYTES).min(self.units_limit);
        let _waiting = Waiting::new(&self.waiting);
        let units = u32::try_from(units).ok()?;
        let units = Arc::clone(&self.units).acquire_many_owned(units).await.ok()?;
        Some(Claim { _units: units })
    }

    /// Whether a message waits: then those that have a claim must hurry.
    #[must_use]
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A claim on so many values of a parsed message; none where they are few, or so many that it is refused unparsed.
    pub(crate) async fn claim_values(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        if count <= limits::FREE_VALUES || count > limits::MESSAGE_VALUES {
            return None;
        }
        let count = u32::try_from(count).ok()?;
        Arc::clone(&self.values).acquire_many_owned(count).await.ok()
    }
}

/// The text, and what is copied of it.
fn cost(message_bytes: usize) -> usize {
    message_bytes.saturating_mul(2)
}

/// Counts one that waits, for as long as it is there.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn claims_are_bounded_together_and_granted_in_their_order() {
        let budget = Arc::new(MessageBudget::new(1024));
        let half = limits::MESSAGES_BYTES / 4;
        let first = Arc::clone(&budget).claim(half).await.unwrap();
        let second = Arc::clone(&budget).claim(half).await.unwrap();
        let mut third = Box::pin(Arc::clone(&budget).claim(half));
        let mut small = Box::pin(Arc::clone(&budget).claim(1));
        assert!((&mut third).now_or_never().is_none() && (&mut small).now_or_never().is_none());
        assert!(budget.is_wanted());
        drop(first);
        assert!((&mut third).now_or_never().is_some());
        drop(second);
        assert!((&mut small).now_or_never().is_some());
        drop((third, small));
        assert!(!budget.is_wanted());
    }

    #[tokio::test]
    async fn a_message_over_the_whole_budget_gets_all_of_it() {
        let budget = Arc::new(MessageBudget::new(1024));
        assert!(budget.claim(usize::MAX).now_or_never().flatten().is_some());
    }
}
