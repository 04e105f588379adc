//! What becomes of a connection that was just accepted: it is turned away at once, or its requests are served.
//!
//! What it can take depends on who is at its other end, which is known before it is given anything.

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
    http::{
        admission::Refusal,
        door::{Door, log_refusal},
        peer::{KnownPeer, Peer},
        requests,
        turned_away::{refusal, reset_on_close, turn_away},
    },
    ops::{metrics::HandshakeFailure, repeated::Repeated},
};

/// A connection was accepted, and this was found out about its other end.
///
/// It is told to come again where that is an error: that nobody knows who it is does not make it a stranger.
pub(super) fn meet(
    door: &Arc<Door>,
    stream: TcpStream,
    address: SocketAddr,
    peer: io::Result<KnownPeer>,
) {
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) => {
            static LINES: Repeated = Repeated::new("connections could not be served");
            LINES.log(|| tracing::warn!(%error, "a connection cannot be served: it is told to come again"));
            return door.turn_away_unserved(&stream);
        }
    };
    if let Err(reason) = door.server.rules.check_peer(peer.peer) {
        door.failed(HandshakeFailure::Forbidden);
        log_refusal(reason, peer.uid);
        return if door.courtesy.has_time(Instant::now()) {
            turn_away(&stream, refusal_text(reason));
        } else {
            reset_on_close(&stream);
        };
    }
    if peer.peer == Peer::Unknown && is_closed(&stream) {
        return;
    }
    let Some(ticket) = door.ticket(peer, Some(address)) else {
        door.failed(HandshakeFailure::Places);
        reset_on_close(&stream);
        static LINES: Repeated =
            Repeated::new("too many connections without a request from one source");
        return LINES.log(|| {
                tracing::warn!(uid = peer.uid, %address, "too many connections without a request from here: closed");
            });
    };
    match for_runtime(stream) {
        Ok(stream) => drop(tokio::spawn(requests::serve(
            Arc::clone(door),
            stream,
            peer,
            Some(address),
            ticket,
        ))),
        Err(error) => tracing::debug!(%error, "a connection"),
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
