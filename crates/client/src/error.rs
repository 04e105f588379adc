//! Everything that may go wrong between a client and its supervisor.

use std::{error::Error as StdError, io, time::Duration};

use cc_protocol::error::ErrorObject;

/// Why a call of this crate failed.
///
/// Only [`Error::Server`] and [`Error::MessageTooLarge`] leave the connection usable.
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
    /// Nobody answers there.
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
    /// The server refused before it spoke WebSocket: not authorised, a wrong path, too many connections.
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
    /// The server said something that the contract does not allow.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

impl Error {
    /// The server's error object, where it sent one.
    #[must_use]
    pub fn error_object(&self) -> Option<&ErrorObject> {
        match self {
            Self::Server(object) | Self::SessionRefused(object) => Some(object),
            Self::Address { .. }
            | Self::Token
            | Self::Connect { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Rejected { .. }
            | Self::MessageTooLarge { .. }
            | Self::Closed { .. }
            | Self::Lost(_)
            | Self::Protocol(_) => None,
        }
    }
}

fn separated(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}
