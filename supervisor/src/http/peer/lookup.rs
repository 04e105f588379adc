//! Finds the user at the other end of a connection.

use std::net::SocketAddr;

use tokio::task::spawn_blocking;

use crate::http::peer::{proc_net, sock_diag};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// This supervisor's user, or root.
    SameUser,
    /// Another user of this machine.
    ForeignUser,
    /// Of this machine, but its socket is not listed: it was closed, or belongs to another namespace.
    Unknown,
    /// Of another machine: users have no meaning.
    Remote,
}

/// A peer with its user, where that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownPeer {
    pub(crate) peer: Peer,
    pub(crate) uid: Option<u32>,
}

impl KnownPeer {
    pub(crate) async fn look_up(peer: SocketAddr, own: SocketAddr) -> Self {
        if !peer.ip().to_canonical().is_loopback() && peer.ip() != own.ip() {
            return Self { peer: Peer::Remote, uid: None };
        }
        let uid = match sock_diag::owner(peer, own) {
            Some(uid) => Some(uid),
            // Either sock_diag is not permitted, or the connection is over, which the tables show as well.
            None => spawn_blocking(move || proc_net::owner(peer, own)).await.ok().flatten(),
        };
        let peer = match uid {
            Some(0) => Peer::SameUser,
            Some(uid) if uid == nix::unistd::geteuid().as_raw() => Peer::SameUser,
            Some(_) => Peer::ForeignUser,
            None => Peer::Unknown,
        };
        Self { peer, uid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::peer::address::tests::connection;

    #[tokio::test]
    async fn a_connection_of_our_own_is_recognised_in_every_family() {
        for (listen, connect) in
            [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")]
        {
            let Some([_client, accepted]) = connection(listen, connect) else { continue };
            let (peer, own) = (accepted.peer_addr().unwrap(), accepted.local_addr().unwrap());
            assert_eq!(KnownPeer::look_up(peer, own).await.peer, Peer::SameUser, "{listen}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_unknown() {
        let [client, accepted] = connection("127.0.0.1:0", "127.0.0.1").unwrap();
        let (peer, own) = (accepted.peer_addr().unwrap(), accepted.local_addr().unwrap());
        drop(client);
        assert_eq!(KnownPeer::look_up(peer, own).await.peer, Peer::Unknown);
    }
}
