//! Connections: which are refused before they have a session, and why.

use cc_protocol::error::close;
use prometheus_client::{metrics::counter::Counter, registry::Registry};

use crate::ops::metrics::{
    label::{CounterBy, label},
    register::add,
};

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

label!(
    /// How a connection with a session ended: the code of its close frame, or without one.
    CloseCode, "code", {
        /// The client has closed it.
        Client => "client",
        /// It broke, or the client was silent for too long.
        Lost => "lost",
        GoingAway => "1001",
        Protocol => "1002",
        Unsupported => "1003",
        InvalidText => "1007",
        Policy => "1008",
        TooBig => "1009",
        Internal => "1011",
        Restart => "1012",
        TryAgain => "1013",
        TakenOver => "4001",
        /// 1000, or a code that has no place here.
        Other => "other",
    }
);

impl CloseCode {
    /// The code of a close frame that was sent.
    #[must_use]
    pub(crate) fn of(code: u16) -> Self {
        match code {
            close::GOING_AWAY => Self::GoingAway,
            close::PROTOCOL => Self::Protocol,
            close::UNSUPPORTED => Self::Unsupported,
            close::INVALID_TEXT => Self::InvalidText,
            close::POLICY => Self::Policy,
            close::TOO_BIG => Self::TooBig,
            close::INTERNAL => Self::Internal,
            close::RESTART => Self::Restart,
            close::TRY_AGAIN => Self::TryAgain,
            close::TAKEN_OVER => Self::TakenOver,
            _ => Self::Other,
        }
    }
}

#[derive(Debug)]
pub(crate) struct ConnectionMetrics {
    opened: Counter,
    closed: CounterBy<CloseCode>,
    handshake_failures: CounterBy<HandshakeFailure>,
}

impl ConnectionMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        Self {
            opened: add(to, "connections_opened", "Connections that have begun a session"),
            closed: CounterBy::add(
                to,
                "connections_closed",
                "Connections with a session that have ended, by the code of their close frame",
            ),
            handshake_failures: CounterBy::add(
                to,
                "handshake_failures",
                "Connections that were refused or lost before they had a session, by cause",
            ),
        }
    }

    pub(crate) fn opened(&self) {
        self.opened.inc();
    }

    pub(crate) fn closed(&self, code: CloseCode) {
        self.closed.increase(code);
    }

    pub(crate) fn handshake_failed(&self, cause: HandshakeFailure) {
        self.handshake_failures.increase(cause);
    }
}
