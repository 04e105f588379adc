//! The service manager: the listening socket that it hands over, and the notifications that it gets (ready, stopping).
//!
//! Without a service manager nothing of this happens: no variable, no socket, no message. Owns no state.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use listenfd::ListenFd;
use nix::sys::socket::{getsockopt, sockopt};
use sd_notify::NotifyState;

/// Why the sockets that were handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InheritError {
    #[error(
        "{0} sockets were handed over (LISTEN_FDS): this program listens on one; give its socket unit a single \
         ListenStream="
    )]
    Number(usize),
    #[error(
        "what was handed over (LISTEN_FDS) is no TCP socket ({0}): its socket unit needs ListenStream= with a port"
    )]
    NotTcp(io::Error),
    /// It is connected, or not in the listening state.
    #[error(
        "the socket that was handed over (LISTEN_FDS) does not listen: its socket unit needs Accept=no"
    )]
    NotListening,
    #[error("the socket that was handed over (LISTEN_FDS): {0}")]
    Io(#[from] io::Error),
    /// It listens on another address than the configured one.
    #[error(
        "the socket that was handed over (LISTEN_FDS) listens on {found}, but the setting listen says {expected}: correct one \
         of the two"
    )]
    Address { found: SocketAddr, expected: SocketAddr },
}

/// The listening socket that a service manager has handed over, if any. Removes its variables from the environment, so
/// it must be called before there are threads.
///
/// # Errors
/// When what was handed over is anything but one listening TCP socket.
pub(crate) fn inherited_listener() -> Result<Option<TcpListener>, InheritError> {
    let mut handed_over = ListenFd::from_env();
    match handed_over.len() {
        0 => return Ok(None),
        1 => {}
        number => return Err(InheritError::Number(number)),
    }
    let Some(listener) = handed_over.take_tcp_listener(0).map_err(InheritError::NotTcp)? else {
        return Ok(None);
    };
    if !getsockopt(&listener, sockopt::AcceptConn).map_err(io::Error::from)? {
        return Err(InheritError::NotListening);
    }
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

/// Checks where an inherited socket listens. `expected` with port 0 is any port.
///
/// # Errors
/// [`InheritError::Address`].
pub(crate) fn check_address(found: SocketAddr, expected: SocketAddr) -> Result<(), InheritError> {
    let is_port = expected.port() == 0 || found.port() == expected.port();
    if is_port && found.ip() == expected.ip() {
        Ok(())
    } else {
        Err(InheritError::Address { found, expected })
    }
}

/// Notifies that clients are served.
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Notifies that the configuration is read again; [`ready`] ends that. With `Type=notify-reload` the service manager
/// takes the time for the proof that this answers its own signal.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// Whether a service manager wants notifications at all.
#[must_use]
pub(crate) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

/// How often the service manager wants to hear that the program lives, if it does: half of WATCHDOG_USEC, as
/// sd_watchdog_enabled(3) recommends.
#[must_use]
pub(crate) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

/// Notifies that the program lives, where that is wanted, and what it does, where that is news. Waits for the service
/// manager.
pub(crate) fn alive(is_watched: bool, status: Option<&str>) {
    let states = is_watched.then_some(NotifyState::Watchdog);
    let states: Vec<NotifyState<'_>> =
        states.into_iter().chain(status.map(NotifyState::Status)).collect();
    if !states.is_empty() {
        notify(&states);
    }
}

/// Notifies that the supervisor is stopping.
pub(crate) fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager (NOTIFY_SOCKET) cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_socket_must_listen_where_the_operator_says() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = address("127.0.0.1:8003");
        assert!(check_address(found, address("127.0.0.1:8003")).is_ok());
        assert!(check_address(found, address("127.0.0.1:0")).is_ok());
        let error = check_address(found, address("127.0.0.1:9000")).unwrap_err().to_string();
        assert!(error.contains("8003") && error.contains("9000"), "{error}");
        assert!(check_address(found, address("0.0.0.0:8003")).is_err());
    }
}
