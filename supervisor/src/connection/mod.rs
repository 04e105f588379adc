//! One WebSocket: messages in, messages out, heartbeat.
//!
//! Owns the socket of a client from its upgrade to its end, and the places among the sessions. Never reads what is in a
//! message: that is the [`crate::session`]'s, and what is written comes from [`crate::delivery`].
//!
//! In reading order:
//! - `context` is what connections are served with, `places` the places among the sessions.
//! - `serve` is one connection: its begin, its reader beside its writer, its end.
//! - `websocket` is how a stream becomes a WebSocket and how that is closed.
//! - `intake` reads from the socket as far as there is memory for it; `frames` are where a client's frames begin and end.
//! - `heartbeat` decides when a silent client is dead.
//!
//! Called by [`crate::http`] after an upgrade.

/// Sends back what it receives, for tests.
#[cfg(debug_assertions)]
pub(crate) mod echo;

mod context;

mod places;

mod serve;

mod frames;

mod intake;

mod websocket;

mod heartbeat;

pub(crate) use self::{context::ConnectionContext, serve::serve};

#[cfg(fuzzing)]
pub use self::frames::fuzz_frames;
