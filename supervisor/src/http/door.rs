//! What becomes of a connection that was just accepted, whatever socket it came by: it is turned away at once, or its requests
//! are served.
//!
//! What a connection can take depends on who is at its other end, which is known before it is given anything. This supervisor's
//! user has room that no stranger can take; other users and machines share a little, and only where there is a token that they
//! could show.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{Arc, LazyLock},
    time::Instant,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use crate::{
    config::limits,
    http::{
        admission::Refusal,
        guesses::Guesses,
        peer::{KnownPeer, Peer},
        places::Places,
        preauth::{Preauth, Room, Ticket},
        requests,
        server::Server,
        turned_away::{refusal, reset_on_close, turn_away, unavailable},
    },
    ops::{metrics::HandshakeFailure, open_files::ConnectionLimits, repeated::Repeated},
};

#[derive(Debug)]
pub(crate) struct Door {
    pub(super) server: Server,
    pub(super) places: Places,
    pub(super) guesses: Guesses,
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
            own: Preauth::new(own),
            strangers: Preauth::new(strangers),
        }
    }

    /// The places of admitted connections.
    #[must_use]
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// A connection was accepted, and this was found out about its other end.
    pub(super) fn meet(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        peer: io::Result<KnownPeer>,
    ) {
        let peer = match peer {
            Ok(peer) => peer,
            Err(error) => {
                static LINES: Repeated =
                    Repeated::new("the user of a connection cannot be looked up");
                LINES.log(|| tracing::warn!(%error, "the user of a connection cannot be looked up: it is told to come again"));
                return self.turn_away_unserved(&stream);
            }
        };
        if let Err(reason) = self.server.rules.check_peer(peer.peer) {
            self.failed(HandshakeFailure::Forbidden);
            log_refusal(reason, peer.uid);
            return turn_away(&stream, refusal_text(reason));
        }
        if peer.peer == Peer::Unknown && is_closed(&stream) {
            return;
        }
        let Some(ticket) = self.ticket(peer, Some(address)) else {
            self.failed(HandshakeFailure::Places);
            reset_on_close(&stream);
            static LINES: Repeated =
                Repeated::new("too many connections without a request from one source");
            return LINES.log(|| {
                tracing::warn!(uid = peer.uid, %address, "too many connections without a request from here: closed");
            });
        };
        match for_runtime(stream) {
            Ok(stream) => drop(tokio::spawn(requests::serve(
                Arc::clone(self),
                stream,
                peer,
                Some(address),
                ticket,
            ))),
            Err(error) => tracing::debug!(%error, "a connection"),
        }
    }

    /// `None`: its source has had too many.
    fn ticket(&self, peer: KnownPeer, address: Option<SocketAddr>) -> Option<Ticket> {
        let preauth = match peer.peer {
            Peer::SameUser => &self.own,
            Peer::ForeignUser | Peer::Unknown | Peer::Remote => &self.strangers,
        };
        preauth.enter(peer.source(address), Instant::now())
    }

    /// Tells a connection that cannot be served at this moment to come again.
    pub(super) fn turn_away_unserved(&self, stream: &TcpStream) {
        static ANSWER: LazyLock<String> = LazyLock::new(|| {
            unavailable("the supervisor has no file descriptor left for this connection; try again")
        });
        self.failed(HandshakeFailure::Unavailable);
        turn_away(stream, &ANSWER);
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

fn for_runtime(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    // Messages are small and each matters at once; without this they wait for acknowledgements.
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// Whether the other end has been closed, and all is read that came from it.
fn is_closed(stream: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(stream, &mut [0], flags) {
        Ok((received, _)) => received == 0,
        Err(error) => error != Errno::AGAIN,
    }
}

fn refusal_text(reason: Refusal) -> &'static str {
    static FOREIGN: LazyLock<String> = LazyLock::new(|| refusal(Refusal::ForeignUser));
    static UNKNOWN: LazyLock<String> = LazyLock::new(|| refusal(Refusal::UnknownUser));
    match reason {
        Refusal::UnknownUser => &UNKNOWN,
        Refusal::ForeignUser | Refusal::Token | Refusal::Host | Refusal::Origin => &FOREIGN,
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
