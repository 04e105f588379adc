//! What connections are served with, and how many of them may have a session.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    config::limits,
    connection::token_slots::{TokenSlot, TokenSlots},
    ops::identity::Identity,
    session::Services,
    task::context::TaskContext,
};

#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) services: Services,
    /// One permit for each connection that has a session.
    slots: Arc<Semaphore>,
    token_slots: TokenSlots,
}

/// A connection's place among the sessions.
#[derive(Debug)]
pub(super) struct SessionSlot {
    _of_all: OwnedSemaphorePermit,
    _of_token: Option<TokenSlot>,
}

impl ConnectionContext {
    #[must_use]
    pub(crate) fn new(services: Services) -> Self {
        let slots = Arc::new(Semaphore::new(services.tasks.config().sessions_limit));
        Self { services, slots, token_slots: TokenSlots::default() }
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
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) async fn session_slot(&self, identity: &Identity) -> Result<SessionSlot, usize> {
        let slots = Arc::clone(&self.slots);
        let of_all = timeout(limits::SESSION_WAIT, slots.acquire_owned()).await;
        let Ok(Ok(of_all)) = of_all else { return Err(self.tasks().config().sessions_limit) };
        let Some(token) = &identity.token else {
            return Ok(SessionSlot { _of_all: of_all, _of_token: None });
        };
        let grant = self.tasks().tokens.named(Some(&token.name));
        let limit = grant.and_then(|grant| grant.sessions_limit);
        match self.token_slots.take(Arc::clone(&token.name), limit).await {
            Some(of_token) => Ok(SessionSlot { _of_all: of_all, _of_token: Some(of_token) }),
            None => Err(limit.unwrap_or_default()),
        }
    }
}
