//! What connections are served with, and how many of them may have a session.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{config::limits, session::Services, task::context::TaskContext};

#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) services: Services,
    /// One permit for each connection that has a session.
    slots: Arc<Semaphore>,
}

impl ConnectionContext {
    #[must_use]
    pub(crate) fn new(services: Services) -> Self {
        let slots = Arc::new(Semaphore::new(services.tasks.config().sessions_limit));
        Self { services, slots }
    }

    #[must_use]
    pub(crate) fn tasks(&self) -> &TaskContext {
        &self.services.tasks
    }

    /// How many sessions have a connection.
    #[must_use]
    pub(crate) fn session_count(&self) -> usize {
        self.tasks().config().sessions_limit.saturating_sub(self.slots.available_permits())
    }

    /// A place among the sessions. Waits a moment for that of a session that is just ending.
    pub(super) async fn session_slot(&self) -> Option<OwnedSemaphorePermit> {
        let slots = Arc::clone(&self.slots);
        timeout(limits::SESSION_WAIT, slots.acquire_owned()).await.ok()?.ok()
    }
}
