//! The sockets that are listened on, and what is accepted by them.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::http::peer::{Ends, KnownPeer};

#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsRawFd for ListeningSocket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(listener) => listener.as_raw_fd(),
            Self::Unix(listener) => listener.as_raw_fd(),
        }
    }
}

impl ListeningSocket {
    pub(super) fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().map(|(stream, peer)| Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// A connection that was just accepted. It is not known to the runtime yet.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl AsFd for Accepted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream, _) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// How the user at the other end is found.
pub(super) enum OtherEnd {
    /// By its addresses.
    Ends(Ends),
    /// The socket itself has told.
    Known(KnownPeer),
}

impl Accepted {
    /// `None`: the connection is over.
    pub(super) fn other_end(&self) -> Option<OtherEnd> {
        match self {
            Self::Tcp(stream, peer) => {
                let own = stream.local_addr().ok()?;
                Some(OtherEnd::Ends(Ends { peer: *peer, own }))
            }
            Self::Unix(stream) => {
                let credentials = getsockopt(stream, PeerCredentials).ok()?;
                Some(OtherEnd::Known(KnownPeer::of_user(Some(credentials.uid()))))
            }
        }
    }

    /// The address at the other end, where there is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, peer) => Some(*peer),
            Self::Unix(_) => None,
        }
    }
}
