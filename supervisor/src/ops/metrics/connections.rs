//! Connections: which are refused before they have a session, and why.

use prometheus_client::registry::Registry;

use crate::ops::metrics::label::{CounterBy, label};

label!(
    /// Why a connection came to no session.
    HandshakeFailure, "cause", {
        /// All places were taken.
        Places => "places",
        /// A token is required (401).
        Token => "token",
        /// Another user, Host or Origin (403).
        Forbidden => "forbidden",
        /// Its request did not come in time.
        Timeout => "timeout",
        /// What came was no HTTP, or no handshake.
        BadRequest => "bad_request",
        /// No descriptor was left, or its user could not be looked up (503).
        Unavailable => "unavailable",
        /// The supervisor stops (503).
        Stopping => "stopping",
    }
);

#[derive(Debug)]
pub(crate) struct ConnectionMetrics {
    handshake_failures: CounterBy<HandshakeFailure>,
}

impl ConnectionMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            handshake_failures: CounterBy::add(
                to,
                "handshake_failures",
                "Connections that were refused or lost before they had a session, by cause",
            ),
        }
    }

    pub(crate) fn handshake_failed(&self, cause: HandshakeFailure) {
        self.handshake_failures.increase(cause);
    }
}
