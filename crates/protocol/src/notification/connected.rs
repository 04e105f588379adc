//! `connected`: what the server says first on every connection.

use serde::{Deserialize, Serialize};

/// `connected`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connected {
    /// uuid of the session.
    pub session_id: String,
    /// Version of the server.
    pub version: String,
    /// What this server can do.
    pub capabilities: Vec<String>,
    /// The secret by which this session can be resumed on another connection.
    #[serde(default)]
    pub resume_token: String,
    /// How long the session waits for that after its connection has ended, seconds; 0: not at all.
    #[serde(default)]
    pub resume_grace_s: f64,
    /// Seconds between WebSocket pings.
    pub heartbeat_interval_s: f64,
    /// The limits that a client can meet.
    pub limits: Limits,
}

/// The limits that a client can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest message that a client may send.
    pub message_bytes: usize,
    /// Sessions at once.
    pub sessions: usize,
    /// Default line limit of a task.
    pub line_bytes: u64,
    /// Default output limit of a task.
    pub output_bytes: u64,
}
