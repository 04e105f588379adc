//! What all connections share, whatever socket they came by: the rules, and the bounds on how many there are.
//!
//! This supervisor's user has room that no stranger can take; other users and machines share a little, and only where there is a
//! token that they could show.

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    sync::{Arc, LazyLock},
    time::Instant,
};

use crate::{
    config::limits,
    http::{
        admission::Refusal,
        guesses::Guesses,
        peer::{KnownPeer, Peer},
        places::Places,
        preauth::{Preauth, Room, Ticket},
        server::Server,
        turned_away::{Courtesy, turn_away, unavailable},
    },
    ops::{metrics::HandshakeFailure, open_files::ConnectionLimits, repeated::Repeated},
};

#[derive(Debug)]
pub(crate) struct Door {
    pub(super) server: Server,
    pub(super) places: Places,
    pub(super) guesses: Guesses,
    pub(super) courtesy: Courtesy,
    own: Arc<Preauth>,
    strangers: Arc<Preauth>,
}

impl Door {
    #[must_use]
    pub(crate) fn new(server: Server, limits: ConnectionLimits) -> Self {
        let own =
            Room { all: limits.own_preauth, per_source: limits.own_preauth, has_penalties: false };
        let strangers = Room {
            all: limits.strangers,
            per_source: limits.strangers.min(limits::SOURCE_PREAUTH),
            has_penalties: true,
        };
        Self {
            server,
            places: Places::new(limits.admitted),
            guesses: Guesses::default(),
            courtesy: Courtesy::default(),
            own: Preauth::new(own),
            strangers: Preauth::new(strangers),
        }
    }

    /// The places of admitted connections.
    #[must_use]
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// `None`: its source has had too many.
    pub(super) fn ticket(&self, peer: KnownPeer, address: Option<SocketAddr>) -> Option<Ticket> {
        let preauth = match peer.peer {
            Peer::SameUser => &self.own,
            Peer::ForeignUser | Peer::Unknown | Peer::Remote => &self.strangers,
        };
        preauth.enter(peer.source(address), Instant::now())
    }

    /// Tells a connection that cannot be served at this moment to come again.
    pub(super) fn turn_away_unserved(&self, stream: impl AsFd, is_plain: bool) {
        static ANSWER: LazyLock<String> = LazyLock::new(|| {
            unavailable("the supervisor has no file descriptor left for this connection; try again")
        });
        self.failed(HandshakeFailure::Unavailable);
        if is_plain {
            turn_away(stream, &ANSWER);
        }
    }

    pub(super) fn failed(&self, cause: HandshakeFailure) {
        self.server.tasks().metrics.connections.handshake_failed(cause);
    }

    /// A request of this peer was refused. Returns when it is to be answered.
    pub(super) fn answer_refusal_at(
        &self,
        peer: KnownPeer,
        address: Option<SocketAddr>,
    ) -> tokio::time::Instant {
        let now = Instant::now();
        (now + self.guesses.refused(peer.source(address), now)).into()
    }
}

/// Says in the log that a peer was refused.
pub(super) fn log_refusal(reason: Refusal, uid: Option<u32>) {
    static TOKEN: Repeated = Repeated::new("requests refused for want of a valid token");
    static USER: Repeated = Repeated::new("connections of other users refused");
    static PAGE: Repeated = Repeated::new("requests refused by their Host or Origin");
    let lines = match reason {
        Refusal::Token => &TOKEN,
        Refusal::ForeignUser | Refusal::UnknownUser => &USER,
        Refusal::Host | Refusal::Origin => &PAGE,
    };
    lines.log(|| tracing::warn!(%reason, uid, "refused"));
}
