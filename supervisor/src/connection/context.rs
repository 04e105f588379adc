//! What connections are served with, and how many of them may have a session.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::timeout;

use crate::{
    config::limits,
    connection::places::{Place, Places},
    ops::identity::Identity,
    session::Services,
    task::context::TaskContext,
};

#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) services: Services,
    /// One place for each connection that has a session.
    places: Places,
    /// The same, of each token's connections.
    of_tokens: Mutex<HashMap<Arc<str>, Places>>,
}

/// A connection's place among the sessions, and among those of its token.
#[derive(Debug)]
pub(super) struct SessionPlace {
    _of_all: Place,
    _of_token: Option<Place>,
}

impl ConnectionContext {
    #[must_use]
    pub(crate) fn new(services: Services) -> Self {
        Self { services, places: Places::default(), of_tokens: Mutex::default() }
    }

    #[must_use]
    pub(crate) fn tasks(&self) -> &TaskContext {
        &self.services.tasks
    }

    /// How many sessions have a connection.
    #[must_use]
    pub(crate) fn session_count(&self) -> usize {
        self.places.taken()
    }

    /// A place among the sessions. Waits a moment for that of a session that is just ending.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) async fn session_place(&self, identity: &Identity) -> Result<SessionPlace, usize> {
        let limit = self.tasks().config().sessions_limit;
        let of_token = match &identity.token {
            None => None,
            Some(token) => {
                let grant = self.tasks().tokens.named(Some(&token.name));
                let limit = grant.and_then(|grant| grant.sessions_limit).unwrap_or(usize::MAX);
                Some(take(&self.places_of(&token.name), limit).await?)
            }
        };
        Ok(SessionPlace { _of_all: take(&self.places, limit).await?, _of_token: of_token })
    }

    fn places_of(&self, token: &Arc<str>) -> Places {
        let mut all = self.of_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(Arc::clone(token)).or_default().clone()
    }
}

async fn take(places: &Places, limit: usize) -> Result<Place, usize> {
    timeout(limits::SESSION_WAIT, places.take(limit)).await.map_err(|_elapsed| limit)
}
