//! Sessions: how many, and which are refused, evicted, resumed.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::ops::metrics::{
    label::{GaugeBy, label},
    register::add,
};

label!(
    /// Where a session is in its life.
    SessionState, "state", {
        /// It has a connection.
        Connected => "connected",
        /// It waits for its client, which may resume it.
        Waiting => "waiting",
    }
);

#[derive(Debug)]
pub(crate) struct SessionMetrics {
    refused: Counter,
    sessions: GaugeBy<SessionState>,
}

impl SessionMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            refused: add(to, "sessions_refused", "Connections refused at the session limit"),
            sessions: GaugeBy::add(to, "sessions", "Sessions that are not over, by state, now"),
        }
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// Before a page: how many sessions there are.
    pub(crate) fn set_count(&self, connected: usize, waiting: usize) {
        self.sessions.set(SessionState::Connected, connected);
        self.sessions.set(SessionState::Waiting, waiting);
    }
}
