//! The wire contract: what clients and cc-supervisor say to each other in WebSocket text messages.
//!
//! Modules in the order in which a message travels: the [`envelope`] around every message, the
//! [`execute`], [`control`], [`session`], [`task`] and [`batch`] requests, the [`notification`]s that a task
//! causes, and the [`error`]s and close codes that anything may be answered with; [`gate`] is about the limits of
//! accounts, `position` numbers events, `params` reads parameters so that every mistake names its own, and [`legacy`] has
//! what only the predecessor's clients use. Types only; no I/O.
//!
//! The words for how a task ends are the worker's own ([`cc_events`]), so that log and wire
//! cannot drift apart.

pub mod batch;
mod call_error;
pub mod control;
pub mod envelope;
pub mod error;
pub mod execute;
pub mod gate;
pub mod legacy;
pub mod notification;
mod params;
mod position;
pub mod session;
pub mod task;

pub use cc_events::{
    ClaudeFacts, ClaudeResult, ClaudeResultPart, ClaudeRetry, EndReason, OutputCounts, Verdict,
    Warning, WarningKind,
};

pub use call_error::CallError;

/// No message of the server is longer: the default limit of the clients' WebSocket libraries.
pub const SERVER_MESSAGE_BYTES_LIMIT: usize = 1024 * 1024;

/// The paths that accept an upgrade; they mean the same.
pub const WEBSOCKET_PATHS: [&str; 2] = ["/ws/mcp", legacy::WEBSOCKET_PATH];

/// Every method that a client may call, in the order of the reference.
pub const METHODS: [&str; 27] = [
    "execute",
    "control",
    "session.resume",
    "session.configure",
    "session.close",
    "task.get",
    "task.list",
    "task.output",
    "task.attach",
    "task.detach",
    "task.cancel",
    "task.pause",
    "task.resume",
    "batch.submit",
    "batch.get",
    "batch.list",
    "batch.rows",
    "batch.result",
    "batch.cancel",
    "batch.attach",
    "batch.detach",
    "batch.resume",
    "gate.list",
    "gate.open",
    "hook_status",
    "ping",
    "pong",
];
