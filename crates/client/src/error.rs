//! Everything that may go wrong between a client and its supervisor.

use std::{error::Error as StdError, fmt, io, time::Duration};

use cc_protocol::{
    error::{ErrorObject, close},
    notification::Position,
};
use serde_json::Value;

/// HTTP statuses of a server, or of a proxy before it, that is starting, stopping or overloaded.
const PASSING_STATUSES: [u16; 5] = [408, 429, 502, 503, 504];
/// Close codes that no other connection would change.
const FINAL_CLOSE_CODES: [u16; 6] = [
    close::NORMAL,
    close::PROTOCOL,
    close::UNSUPPORTED,
    close::INVALID_TEXT,
    close::POLICY,
    close::TOO_BIG,
];

/// Why a call of this crate failed.
///
/// Only [`Error::Server`], [`Error::MessageTooLarge`], [`Error::Detached`] and [`Error::Unrepeatable`] leave the
/// connection usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none that this client can connect to.
    #[error("the address {url:?} cannot be used: {what}")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it and what would be right.
        what: String,
    },
    /// The token cannot be sent in an HTTP header.
    #[error("the token has characters that no HTTP header can carry")]
    Token,
    /// A certificate or a key cannot be used, or the server's is not trusted.
    #[error("TLS: {what}")]
    Tls {
        /// The file or the address, and what is wrong with it.
        what: String,
    },
    /// No server listens there.
    #[error("cannot connect to {url}: {source}; does cc-supervisor run there?")]
    Connect {
        /// As it was given.
        url: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection was made, and then nothing came.
    #[error("no answer from {url} within {} s", .limit.as_secs())]
    HandshakeTimeout {
        /// As it was given.
        url: String,
        /// How long the client waited.
        limit: Duration,
    },
    /// The server refused before it spoke WebSocket: not authorized, a wrong path, too many connections.
    #[error("the server refused the connection with HTTP status {status}: {text}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The beginning of the server's explanation.
        text: String,
    },
    /// The server took the connection and refused the session, for example because there are too many.
    #[error("the server refused the session: {}", .0.message)]
    SessionRefused(ErrorObject),
    /// The server answered a request with an error.
    #[error("{}", .0.message)]
    Server(ErrorObject),
    /// The request is longer than the server takes.
    #[error("the request has {bytes} bytes, and the server takes at most {bytes_limit}")]
    MessageTooLarge {
        /// Length of the request.
        bytes: usize,
        /// What the server takes.
        bytes_limit: usize,
    },
    /// The connection ended with a close frame.
    #[error("the server closed the connection ({code}{})", separated(.reason))]
    Closed {
        /// WebSocket close code; 1005 where there was none.
        code: u16,
        /// The server's explanation, may be empty.
        reason: String,
    },
    /// The connection ended without a close frame.
    #[error("the connection to the server is lost: {0}")]
    Lost(Box<dyn StdError + Send + Sync>),
    /// No frame came for so long that the server or the way to it must be gone.
    #[error("the connection to the server is lost: nothing came for {} s", .limit.as_secs_f64())]
    Silent {
        /// 2.5 heartbeats of the server.
        limit: Duration,
    },
    /// The server said something that the contract does not allow.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// A [`crate::Session`] was asked for a task that would belong to no session.
    #[error("a detached task belongs to no session: ask for it on a plain connection")]
    Detached,
    /// A [`crate::Session`] was given a plan that an outage could make it submit twice.
    #[error("a plan needs an idempotency key here: without one an outage might submit it twice")]
    Unrepeatable,
    /// Another connection has resumed this session. Only of [`crate::Session`], as all that follow.
    #[error("the session is over: another connection has taken it over{unknown}")]
    TakenOver {
        /// What is not known here.
        unknown: Unknown,
    },
    /// The session has expired on the server.
    #[error("the session is over: {}{unknown}", .error.message)]
    SessionOver {
        /// Why it cannot be resumed.
        error: ErrorObject,
        /// What is not known here.
        unknown: Unknown,
    },
    /// There was no connection for as long as the session waits for one.
    #[error("no connection for {} s, given up: {last}{unknown}", .patience.as_secs())]
    GivenUp {
        /// How long was tried.
        patience: Duration,
        /// Why the last attempt failed.
        last: Box<Error>,
        /// What is not known here.
        unknown: Unknown,
    },
}

/// What a client that has lost its session does not know. As text, the end of a sentence that says how
/// to find out; empty where nothing is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No task was under way.
    Nothing,
    /// Whether the task that was asked for last has been started.
    Start,
    /// What this task did after its event with this number.
    After(Position),
}

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Start => formatter.write_str(
                "; whether the last task was started is not known here: see `ccx ps --all`",
            ),
            Self::After(Position { task_id, seq }) => write!(
                formatter,
                "; what task {task_id} did after its event {seq} is not known here: see `ccx logs {task_id} --since-seq {seq}`"
            ),
        }
    }
}

/// What a failure means to a [`crate::Session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Another connection may do better.
    Passing,
    /// The session belongs to another connection now.
    TakenOver,
    /// Trying again would bring the same.
    Final,
}

impl Error {
    /// The server's error object, where it sent one.
    #[must_use]
    pub fn error_object(&self) -> Option<&ErrorObject> {
        match self {
            Self::Server(object)
            | Self::SessionRefused(object)
            | Self::SessionOver { error: object, .. } => Some(object),
            Self::Address { .. }
            | Self::Token
            | Self::Tls { .. }
            | Self::Connect { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Rejected { .. }
            | Self::MessageTooLarge { .. }
            | Self::Closed { .. }
            | Self::Lost(_)
            | Self::Silent { .. }
            | Self::Protocol(_)
            | Self::Detached
            | Self::Unrepeatable
            | Self::TakenOver { .. }
            | Self::GivenUp { .. } => None,
        }
    }

    pub(crate) fn severity(&self) -> Severity {
        let is_passing = match self {
            Self::Closed { code: close::TAKEN_OVER, .. } => return Severity::TakenOver,
            Self::Connect { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Lost(_)
            | Self::Silent { .. } => true,
            Self::Rejected { status, .. } => PASSING_STATUSES.contains(status),
            Self::SessionRefused(object) | Self::Server(object) => {
                object.data.get("retryable").and_then(Value::as_bool).unwrap_or(false)
            }
            // These say that the client did something wrong, which the next connection would repeat.
            Self::Closed { code, .. } => !FINAL_CLOSE_CODES.contains(code),
            Self::Address { .. }
            | Self::Token
            | Self::Tls { .. }
            | Self::MessageTooLarge { .. }
            | Self::Protocol(_)
            | Self::Detached
            | Self::Unrepeatable
            | Self::TakenOver { .. }
            | Self::SessionOver { .. }
            | Self::GivenUp { .. } => false,
        };
        if is_passing { Severity::Passing } else { Severity::Final }
    }
}

fn separated(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}
