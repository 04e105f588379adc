//! The listening socket: one of its own, or one that the service manager hands over.

use std::io;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::{
    config::{self, Config},
    ops::systemd,
};

pub(super) async fn listen(
    config: &Config,
    inherited: Option<std::net::TcpListener>,
) -> anyhow::Result<TcpListener> {
    let Some(inherited) = inherited else {
        return TcpListener::bind(config.listen).await.map_err(|error| {
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
    TcpListener::from_std(inherited).context("the inherited socket")
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
