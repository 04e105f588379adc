//! Finds the users at the other ends of connections that were just accepted.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use nix::unistd::geteuid;
use tokio::task::spawn_blocking;

use crate::http::peer::{proc_net::Tables, sock_diag::SockDiag};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownPeer {
    pub(crate) peer: Peer,
    pub(crate) uid: Option<u32>,
}

impl KnownPeer {
    /// A process of this machine; `None`: its user is unknown.
    pub(crate) fn of_user(uid: Option<u32>) -> Self {
        let peer = match uid {
            Some(0) => Peer::SameUser,
            Some(uid) if uid == geteuid().as_raw() => Peer::SameUser,
            Some(_) => Peer::ForeignUser,
            None => Peer::Unknown,
        };
        Self { peer, uid }
    }

    /// Where it comes from, as limits count it.
    #[must_use]
    pub(crate) fn source(self, address: Option<SocketAddr>) -> Source {
        match (self.uid, address) {
            (Some(uid), _) => Source::User(uid),
            (None, None) => Source::Nowhere,
            (None, Some(address)) => match address.ip().to_canonical() {
                IpAddr::V6(ip) => Source::Address(network_of(ip).into()),
                ip @ IpAddr::V4(_) => Source::Address(ip),
            },
        }
    }
}

/// What limits count connections by. One who has an IPv6 address has its whole /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    User(u32),
    Address(IpAddr),
    /// A process without a user and an address.
    Nowhere,
}

fn network_of(ip: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) own: SocketAddr,
}

/// Looks users up. Never fails for want of a descriptor while the kernel answers questions.
pub(crate) struct Lookup {
    /// `None`: it may not be asked.
    kernel: Option<SockDiag>,
    /// It has named an owner. Until then "there is no such socket" may mean that it knows of none.
    has_named: bool,
}

impl Lookup {
    #[must_use]
    pub(crate) fn new() -> Self {
        let kernel = SockDiag::open();
        if let Err(error) = &kernel {
            tracing::info!(%error, "the kernel cannot be asked for peers (sock_diag): /proc/net/tcp is read instead");
        }
        Self { kernel: kernel.ok(), has_named: false }
    }

    /// Who is at these other ends. The kernel is asked for each in microseconds; for all that it does not name the tables
    /// are read, once.
    ///
    /// # Errors
    /// Of each, that nobody can say who it is at this moment.
    pub(crate) async fn peers(&mut self, all: &[Ends]) -> Vec<io::Result<KnownPeer>> {
        let mut answers: Vec<Option<io::Result<KnownPeer>>> =
            all.iter().map(|ends| self.ask(*ends)).collect();
        if answers.iter().any(Option::is_none) {
            let tables = spawn_blocking(Tables::read).await.map_err(io::Error::other).flatten();
            for (answer, ends) in answers.iter_mut().zip(all).filter(|(answer, _)| answer.is_none())
            {
                *answer = Some(match &tables {
                    Ok(tables) => Ok(KnownPeer::of_user(tables.owner(ends.peer, ends.own))),
                    Err(error) => Err(error.kind().into()),
                });
            }
        }
        answers.into_iter().flatten().collect()
    }

    /// `None`: only the tables can tell.
    fn ask(&mut self, ends: Ends) -> Option<io::Result<KnownPeer>> {
        let Ends { peer, own } = ends;
        if !peer.ip().to_canonical().is_loopback() && peer.ip() != own.ip() {
            return Some(Ok(KnownPeer { peer: Peer::Remote, uid: None }));
        }
        match self.kernel.as_mut()?.owner(peer, own) {
            Ok(Some(uid)) => {
                self.has_named = true;
                Some(Ok(KnownPeer::of_user(Some(uid))))
            }
            Ok(None) if self.has_named => Some(Ok(KnownPeer::of_user(None))),
            Ok(None) => None,
            Err(error) if self.has_named => {
                tracing::debug!(%error, "sock_diag");
                if let Ok(kernel) = SockDiag::open() {
                    self.kernel = Some(kernel);
                }
                Some(Err(error))
            }
            // Forbidden in this sandbox, or unknown to this kernel.
            Err(error) => {
                tracing::info!(%error, "the kernel does not name peers (sock_diag): /proc/net/tcp is read instead");
                self.kernel = None;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::peer::address::tests::connection;

    fn ends(accepted: &std::net::TcpStream) -> Ends {
        Ends { peer: accepted.peer_addr().unwrap(), own: accepted.local_addr().unwrap() }
    }

    async fn look_up(lookup: &mut Lookup, ends: Ends) -> Peer {
        lookup.peers(&[ends]).await.remove(0).unwrap().peer
    }

    #[tokio::test]
    async fn a_connection_of_our_own_is_recognised_in_every_family_and_by_both_ways() {
        for (listen, connect) in
            [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")]
        {
            let Some([_client, accepted]) = connection(listen, connect) else { continue };
            for mut lookup in [Lookup::new(), Lookup { kernel: None, has_named: false }] {
                let peer = look_up(&mut lookup, ends(&accepted)).await;
                assert_eq!(peer, Peer::SameUser, "{listen}");
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_unknown() {
        let mut lookup = Lookup::new();
        for _ in 0..2 {
            let [client, accepted] = connection("127.0.0.1:0", "127.0.0.1").unwrap();
            let ends = ends(&accepted);
            drop(client);
            assert_eq!(look_up(&mut lookup, ends).await, Peer::Unknown);
            let [_client, accepted] = connection("127.0.0.1:0", "127.0.0.1").unwrap();
            let ends = self::ends(&accepted);
            assert_eq!(look_up(&mut lookup, ends).await, Peer::SameUser);
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let source = |address: &str| {
            let remote = KnownPeer { peer: Peer::Remote, uid: None };
            remote.source(Some(address.parse().unwrap()))
        };
        assert_eq!(source("[2001:db8::1]:1"), source("[2001:db8::ffff:1]:2"));
        assert_ne!(source("[2001:db8::1]:1"), source("[2001:db8:0:1::1]:1"));
        assert_ne!(source("10.0.0.1:1"), source("10.0.0.2:1"));
        assert_eq!(source("10.0.0.1:1"), source("[::ffff:10.0.0.1]:2"));
    }
}
