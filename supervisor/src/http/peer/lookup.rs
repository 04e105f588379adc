//! Which user is at the other end of a loopback connection.
//!
//! The peer's own socket is the one whose two addresses are ours, swapped; whose it is the kernel says. It is asked
//! by [`sock_diag`], which takes microseconds however many sockets there are; where that is not to be had, the
//! [`tables`] of all sockets are read. Called once a connection. Whatever neither of them says plainly is
//! [`Peer::Unknown`].

use std::net::{IpAddr, SocketAddr};

use tokio::task::spawn_blocking;

use crate::http::peer::{proc_net, sock_diag};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// This supervisor's user, or root.
    SameUser,
    /// Another user of this machine.
    ForeignUser,
    /// This machine, but its socket is not listed: it was closed, or belongs to another namespace.
    Unknown,
    /// Another machine: users have no meaning.
    Remote,
}

impl Peer {
    /// Finds out who holds the other end of the connection from `peer` to `own`.
    pub async fn look_up(peer: SocketAddr, own: SocketAddr) -> Self {
        if !peer.ip().to_canonical().is_loopback() && peer.ip() != own.ip() {
            return Self::Remote;
        }
        let uid = match sock_diag::owner(peer, own) {
            Some(uid) => Some(uid),
            // Not permitted, or a connection that is over: this says so, too.
            None => spawn_blocking(move || proc_net::owner(peer, own)).await.ok().flatten(),
        };
        match uid {
            Some(0) => Self::SameUser,
            Some(uid) if uid == nix::unistd::geteuid().as_raw() => Self::SameUser,
            Some(_) => Self::ForeignUser,
            None => Self::Unknown,
        }
    }
}

/// An address as both ways of asking compare it: IPv4 in an IPv6 socket is IPv4.
pub(super) fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A listener, and the two ends of a connection to it; `None`: this machine has no such addresses.
    pub(crate) fn connection(listen: &str, connect: &str) -> Option<[TcpStream; 2]> {
        let listener = TcpListener::bind(listen).ok()?;
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((connect, port)).ok()?;
        let (accepted, _) = listener.accept().unwrap();
        Some([client, accepted])
    }

    #[tokio::test]
    async fn a_connection_of_our_own_is_recognised_in_every_family() {
        for (listen, connect) in
            [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")]
        {
            let Some([_client, accepted]) = connection(listen, connect) else { continue };
            let (peer, own) = (accepted.peer_addr().unwrap(), accepted.local_addr().unwrap());
            assert_eq!(Peer::look_up(peer, own).await, Peer::SameUser, "{listen}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_nobody() {
        let [client, accepted] = connection("127.0.0.1:0", "127.0.0.1").unwrap();
        let (peer, own) = (accepted.peer_addr().unwrap(), accepted.local_addr().unwrap());
        drop(client);
        assert_eq!(Peer::look_up(peer, own).await, Peer::Unknown);
    }
}
