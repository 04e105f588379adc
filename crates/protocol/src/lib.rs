//! The wire contract: what clients and cc-supervisor say to each other in WebSocket text messages.
//!
//! Types only; no I/O. Modules in the order in which a message travels:
//! - [`envelope`] is what stands around every message; `method` lists the methods.
//! - [`execute`], [`control`], [`session`], [`task`], [`batch`], [`gate`], [`worker`] and [`status`] are the requests and their results; `params`
//!   reads the parameters of a request one by one.
//! - [`configuration`] and [`drain`] are about the supervisor itself.
//! - [`notification`] is what the server says unasked, numbered by `position`.
//! - `scope` has the words for what a token allows.
//! - [`error`] has the codes of errors and of closes, and `call_error` why a call is refused.
//! - [`legacy`] is what only clients of the predecessor use.
//!
//! The words for how a task ends are the worker's own ([`cc_events`]), so that log and wire
//! cannot drift apart.

pub mod envelope;
mod method;

pub mod batch;
pub mod configuration;
pub mod control;
pub mod drain;
pub mod execute;
pub mod gate;
mod params;
pub mod session;
pub mod status;
pub mod task;
pub mod worker;

pub mod notification;
mod position;

mod scope;

mod call_error;
pub mod error;

pub mod legacy;

pub use cc_events::{
    ClaudeFacts, ClaudeResult, ClaudeResultPart, ClaudeRetry, EndReason, OutputCounts, Verdict,
    Warning, WarningKind,
};

pub use call_error::{CallError, Denied, PlanMistake, UnfitParam};
pub use method::METHODS;
pub use scope::Scope;

/// No message of the server is longer: the default limit of the clients' WebSocket libraries.
pub const SERVER_MESSAGE_BYTES_LIMIT: usize = 1024 * 1024;

/// The paths that accept an upgrade; they mean the same.
pub const WEBSOCKET_PATHS: [&str; 2] = ["/ws/mcp", legacy::WEBSOCKET_PATH];
