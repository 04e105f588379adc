//! Who is let in: the listening socket, admission, the upgrade to a WebSocket, health and metrics pages.
//!
//! Owns the listening sockets and the bounds on connections. Never sees a message: after an upgrade the socket belongs to
//! [`crate::connection`].
//!
//! In reading order:
//! - `listener` accepts connections from the `sockets`; `reserve` is its last descriptor, `peer` finds the user at the other end.
//! - `arrivals` decides at once: a connection is `turned_away`, or gets a ticket of those that are not admitted yet (`preauth`).
//!   Both keep to a `pace`.
//! - `door` is what all connections share.
//! - `server` is what requests are answered with, `requests` answers them, with the `pages` of operators, or with an
//!   upgrade after a `handshake`; `response` makes the small responses.
//! - `admission` decides whether a request is answered (`host`: by which names this machine may be called). Refusals are
//!   slowed down by `guesses`. An upgraded connection has one of the `places`.
//!
//! Called by [`crate::daemon`].

mod sockets;

mod listener;

mod reserve;

mod peer;

mod arrivals;

mod door;

mod turned_away;

mod pace;

mod preauth;

mod guesses;

mod places;

mod admission;

mod host;

mod server;

mod requests;

mod pages;

mod handshake;

mod response;

pub(crate) use self::{
    door::Door, listener::accept_connections, places::Places, server::Server,
    sockets::ListeningSocket,
};
