//! The listening socket: one of its own, or one that the service manager hands over.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use anyhow::Context as _;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpSocket,
};

use crate::{
    config::{self, Config, limits},
    ops::systemd,
};

pub(super) fn listen(
    config: &Config,
    inherited: Option<TcpListener>,
) -> anyhow::Result<AsyncFd<TcpListener>> {
    let Some(inherited) = inherited else {
        return bind(config.listen).and_then(register).map_err(|error| {
            let advice = advice(error.kind());
            anyhow::anyhow!("listening on {}: {error}{advice}", config.listen)
        });
    };
    let address = inherited.local_addr().context("the inherited socket's address")?;
    let address = config::machine::check_inherited(address, config.may_be_remote)?;
    if config.is_listen_given {
        systemd::check_address(address, config.listen)?;
    }
    tracing::info!(%address, "the listening socket was handed over");
    register(inherited).context("the inherited socket")
}

#[expect(
    deprecated,
    reason = "deprecated for what is no descriptor of its own; a socket is, and the replacement is unsafe"
)]
fn register(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    listener.set_nonblocking(true)?;
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
