//! Sessions: how many, and which are refused, evicted, resumed.

use prometheus_client::{
    metrics::counter::Counter,
    registry::{Registry, Unit},
};

use crate::ops::metrics::{
    label::{CounterBy, GaugeBy, label},
    register::{add, add_in},
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

label!(
    /// What a session that waits may owe its client, and what is lost with it. Those that owe least are evicted first.
    #[derive(PartialOrd, Ord)]
    Debt, "owed", {
        /// It never had a task.
        Nothing => "nothing",
        /// Everything was handed to the socket; how much of it the client has read is not known.
        Unread => "unread",
        /// Events that no socket has taken, or the answer to a request.
        Unsent => "unsent",
    }
);

#[derive(Debug)]
pub(crate) struct SessionMetrics {
    refused: Counter,
    resumed: Counter,
    replayed_bytes: Counter,
    evicted: CounterBy<Debt>,
    sessions: GaugeBy<SessionState>,
}

impl SessionMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            refused: add(to, "sessions_refused", "Connections refused at the session limit"),
            resumed: add(to, "sessions_resumed", "Sessions that a client has taken up again"),
            replayed_bytes: add_in(
                to,
                "session_replayed",
                Unit::Bytes,
                "What was read again from task logs for clients that have resumed their sessions",
            ),
            evicted: CounterBy::add(
                to,
                "sessions_evicted",
                "Sessions that ended before their grace period was over because too many waited, by what they owed",
            ),
            sessions: GaugeBy::add(to, "sessions", "Sessions that are not over, by state, now"),
        }
    }

    pub(crate) fn resumed(&self) {
        self.resumed.inc();
    }

    /// Counts what is replayed, as it is found.
    #[must_use]
    pub(crate) fn replayed_bytes(&self) -> Counter {
        self.replayed_bytes.clone()
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// A waiting session was ended to make room.
    pub(crate) fn evicted(&self, debt: Debt) {
        self.evicted.increase(debt);
    }

    /// Before a page: how many sessions there are.
    pub(crate) fn set_count(&self, connected: usize, waiting: usize) {
        self.sessions.set(SessionState::Connected, connected);
        self.sessions.set(SessionState::Waiting, waiting);
    }
}
