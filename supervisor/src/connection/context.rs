//! What connections are served with, and how many of them may have a session.

use tokio::time::timeout;

use crate::{
    config::limits,
    connection::places::{Place, Places},
    session::Services,
    task::context::TaskContext,
};

#[derive(Debug)]
pub(crate) struct ConnectionContext {
    pub(crate) services: Services,
    /// One place for each connection that has a session.
    places: Places,
}

impl ConnectionContext {
    #[must_use]
    pub(crate) fn new(services: Services) -> Self {
        Self { services, places: Places::default() }
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
    pub(super) async fn session_place(&self) -> Option<Place> {
        let limit = self.tasks().config().sessions_limit;
        timeout(limits::SESSION_WAIT, self.places.take(limit)).await.ok()
    }
}
