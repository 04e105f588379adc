//! Where the supervisor listens: addresses of TCP, and paths of Unix sockets.

use std::{
    ffi::OsString,
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};

use crate::config::{error::ValueError, settings::kind::Kind};

const UNIX: &str = "unix:";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// The address, where it is one of TCP.
    #[must_use]
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine can reach it.
    #[must_use]
    pub(crate) fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().is_loopback())
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let is_usable = path.starts_with('/') && path.len() < UNIX_PATH_BYTES;
            return if is_usable { Ok(Self::Unix(path.into())) } else { Err(ValueError::UnixPath) };
        }
        let mut addresses = text.to_socket_addrs().map_err(ValueError::Address)?;
        addresses.next().map(Self::Tcp).ok_or(ValueError::NoAddress)
    }
}

/// What the address of a Unix socket has room for (unix(7)), and a little for the name under which it is made.
const UNIX_PATH_BYTES: usize = 100;

/// Where to listen: one or several addresses with commas between. A variable holds the port alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses;

impl Kind for Addresses {
    type Value = Vec<ListenAddress>;

    fn value_name(&self) -> &'static str {
        "HOST:PORT|unix:PATH"
    }

    fn parse(&self, text: &str) -> Result<Vec<ListenAddress>, ValueError> {
        text.split(',').map(|address| ListenAddress::parse(address.trim())).collect()
    }

    fn texts_of_variable(&self, text: &str) -> Result<Vec<OsString>, ValueError> {
        let port: u16 = text.parse().map_err(|_| ValueError::Port)?;
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], port)).to_string().into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_addresses_of_both_kinds_are_taken() {
        let listen = Addresses.parse("127.0.0.1:1, unix:/run/cc.sock").unwrap();
        assert_eq!(listen[0], ListenAddress::Tcp("127.0.0.1:1".parse().unwrap()));
        assert_eq!(listen[1].to_string(), "unix:/run/cc.sock");
        assert!(listen.iter().all(ListenAddress::is_local));
        assert!(!Addresses.parse("10.0.0.1:1").unwrap()[0].is_local());
        let long = format!("unix:/{}", "x".repeat(200));
        for text in ["", "unix:", "unix:relative", long.as_str(), "127.0.0.1:1,", "127.0.0.1"] {
            assert!(Addresses.parse(text).is_err(), "{text}");
        }
    }
}
