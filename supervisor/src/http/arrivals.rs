//! What becomes of a connection that was just accepted: it is turned away at once, or its requests are served.
//!
//! What it can take depends on who is at its other end, which is known before it is given anything.

use std::{
    io,
    net::SocketAddr,
    os::fd::AsFd,
    sync::{Arc, LazyLock},
    time::Instant,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use tokio::net::{TcpStream, UnixStream};

use crate::{
    delivery::transport::Transport,
    http::{
        admission::{Refusal, check_peer},
        door::{Door, log_refusal},
        peer::{KnownPeer, Peer},
        requests::{self, Arrival},
        sockets::Accepted,
        turned_away::{refusal, reset_on_close, turn_away},
    },
    ops::{metrics::HandshakeFailure, repeated::Repeated},
};

/// A connection was accepted, and this was found out about its other end.
///
/// It is told to come again where that is an error: that nobody knows who it is does not make it a stranger.
pub(super) fn meet(door: &Arc<Door>, connection: Accepted, peer: io::Result<KnownPeer>) {
    let tls = match &connection {
        Accepted::Tcp(..) => door.server.tasks().config().tls.clone(),
        Accepted::Unix(_) => None,
    };
    // An answer in plain text means nothing to one who begins with TLS.
    let is_plain = tls.is_none();
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) => {
            static LINES: Repeated = Repeated::new("connections could not be served");
            LINES.log(|| tracing::warn!(%error, "a connection cannot be served: it is told to come again"));
            return door.turn_away_unserved(&connection, is_plain);
        }
    };
    if let Err(reason) = check_peer(&door.server.tasks().tokens, peer.peer) {
        door.failed(HandshakeFailure::Forbidden);
        log_refusal(reason, peer.uid);
        return if is_plain && door.courtesy.has_time(Instant::now()) {
            turn_away(&connection, refusal_text(reason));
        } else {
            reset_on_close(&connection);
        };
    }
    if peer.peer == Peer::Unknown && is_closed(&connection) {
        return;
    }
    let address = connection.address();
    let Some(ticket) = door.ticket(peer, address) else {
        door.failed(HandshakeFailure::Places);
        reset_on_close(&connection);
        return log_too_many(peer, address);
    };
    match for_runtime(connection) {
        Ok(stream) => {
            let arrival = Arrival { peer, address, ticket };
            tokio::spawn(requests::serve(Arc::clone(door), stream, tls, arrival));
        }
        Err(error) => tracing::debug!(%error, "a connection"),
    }
}

fn log_too_many(peer: KnownPeer, address: Option<SocketAddr>) {
    static LINES: Repeated =
        Repeated::new("too many connections without a request from one source");
    let uid = peer.uid;
    LINES.log(|| {
        tracing::warn!(uid, ?address, "too many connections without a request from here: closed");
    });
}

fn for_runtime(connection: Accepted) -> io::Result<Transport> {
    match connection {
        Accepted::Tcp(stream, _) => {
            // Messages are small and each matters at once; without this they wait for acknowledgements.
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream).map(Transport::Tcp)
        }
        Accepted::Unix(stream) => {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream).map(Transport::Unix)
        }
    }
}

/// Whether the other end has been closed, and all is read that came from it.
fn is_closed(stream: impl AsFd) -> bool {
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
