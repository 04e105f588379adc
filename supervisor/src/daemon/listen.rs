//! The listening sockets: those of its own, and one that the service manager hands over.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use anyhow::Context as _;
use cc_protocol::WEBSOCKET_PATHS;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpSocket,
};

use crate::{
    config::{self, Config, limits, listen::ListenAddress},
    daemon::socket_file::SocketFile,
    http::ListeningSocket,
    ops::systemd,
};

/// The open sockets, and what they are called.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) sockets: Vec<AsyncFd<ListeningSocket>>,
    /// The addresses of TCP.
    addresses: Vec<SocketAddr>,
    /// Such as `ws://127.0.0.1:8003/ws/mcp`, one for each.
    pub(super) urls: Vec<String>,
    /// The files of Unix sockets, which are removed in the end.
    files: Vec<SocketFile>,
}

/// Opens all sockets. An inherited one takes the place of the TCP addresses.
pub(super) fn listen(config: &Config, inherited: Option<TcpListener>) -> anyhow::Result<Listening> {
    let mut listening = Listening {
        sockets: Vec::new(),
        addresses: Vec::new(),
        urls: Vec::new(),
        files: Vec::new(),
    };
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let is_inherited = inherited.is_some();
    if let Some(inherited) = inherited {
        let address = inherited.local_addr().context("the inherited socket's address")?;
        let address = config::machine::check_inherited(address, config.may_be_remote)?;
        let expected = config.listen.iter().find_map(ListenAddress::tcp);
        if let Some(expected) = expected.filter(|_| config.is_listen_given) {
            systemd::check_address(address, expected)?;
        }
        tracing::info!(%address, "the listening socket was handed over");
        listening.add_tcp(inherited, scheme).context("the inherited socket")?;
    }
    for address in &config.listen {
        let opened = match address {
            ListenAddress::Tcp(_) if is_inherited => Ok(()),
            ListenAddress::Tcp(address) => {
                bind(*address).and_then(|listener| listening.add_tcp(listener, scheme))
            }
            ListenAddress::Unix(path) => listening.add_unix(path),
        };
        opened.map_err(|error| {
            let advice = advice(error.kind());
            anyhow::anyhow!("listening on {address}: {error}{advice}")
        })?;
    }
    Ok(listening)
}

impl Listening {
    fn add_tcp(&mut self, listener: TcpListener, scheme: &str) -> io::Result<()> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        self.sockets.push(register(ListeningSocket::Tcp(listener))?);
        self.addresses.push(address);
        self.urls.push(format!("{scheme}://{address}{}", WEBSOCKET_PATHS[0]));
        Ok(())
    }

    fn add_unix(&mut self, path: &Path) -> io::Result<()> {
        let (listener, file) = SocketFile::bind(path)?;
        listener.set_nonblocking(true)?;
        self.sockets.push(register(ListeningSocket::Unix(listener))?);
        self.urls.push(format!("unix:{}", path.display()));
        self.files.push(file);
        Ok(())
    }

    /// The first address that other machines can reach.
    pub(super) fn beyond_loopback(&self) -> Option<SocketAddr> {
        self.addresses.iter().copied().find(|address| !address.ip().is_loopback())
    }

    /// Removes the files of Unix sockets.
    pub(super) fn remove_files(self) {
        for file in self.files {
            file.remove();
        }
    }
}

#[expect(
    deprecated,
    reason = "deprecated for what is no descriptor of its own; a socket is, and the replacement is unsafe"
)]
fn register(listener: ListeningSocket) -> io::Result<AsyncFd<ListeningSocket>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// With a long queue: where it is full, clients wait a second before they try again.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::ACCEPT_QUEUE)?.into_std()
}

/// What to do where the socket cannot be opened.
fn advice(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::AddrInUse {
        "; another program listens there: stop it, or choose another port with --listen HOST:PORT"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; this machine does not have this address: choose another with --listen HOST:PORT"
    } else if kind == io::ErrorKind::PermissionDenied {
        "; ports below 1024 need a privilege: choose another with --listen HOST:PORT"
    } else {
        ""
    }
}
