//! Who is let in: the listening socket, admission, the upgrade to a WebSocket, health and metrics pages.
//!
//! Owns the one port and the bound on TCP connections. Never sees a message: after an upgrade the socket belongs to
//! [`crate::connection`].
//!
//! In reading order:
//! - `listener` accepts TCP connections.
//! - `peer` finds the user at the other end, `admission` decides whether a request is answered.
//! - `server` is what requests are answered with, `requests` answers them, with the `pages` of operators, or with an
//!   upgrade after a `handshake`; `response` makes the small responses.
//!
//! Called by [`crate::daemon`].

mod listener;

mod peer;

mod admission;

mod server;

mod requests;

mod pages;

mod handshake;

mod response;

pub(crate) use self::{
    listener::{Connections, accept_connections},
    server::Server,
};
