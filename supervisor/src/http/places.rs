//! The places of admitted connections: one for each session, and a few for connections that are only told that all sessions are
//! taken.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds the admitted connections, and knows when all have ended.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    permits: Arc<Semaphore>,
    limit: u32,
}

impl Places {
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Returns when all connections have ended. No new ones may be admitted meanwhile.
    pub(crate) async fn ended(&self) {
        drop(self.permits.acquire_many(self.limit).await);
    }
}
