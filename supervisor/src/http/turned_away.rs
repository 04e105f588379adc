//! Connections that are turned away as soon as they are accepted: with a fixed answer, and closed. They keep nothing: no place, no
//! descriptor, no tokio task, no time.
//!
//! The answer is sent before a request is read, which HTTP allows (RFC 9110 section 15). The connection is then reset, so that
//! neither side keeps a closed one; Linux hands out what had arrived before the reset.

use std::time::Duration;

use rustix::{
    fd::AsFd,
    net::{SendFlags, send, sockopt::set_socket_linger},
};

use crate::http::admission::Refusal;

/// Sends the answer, as far as it can be sent at once, and has the connection reset when the caller closes it.
pub(super) fn turn_away(stream: impl AsFd, answer: &str) {
    // What cannot be sent at once, or is not wanted any more, is not worth more.
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if let Err(error) = send(&stream, answer.as_bytes(), flags) {
        tracing::debug!(%error, "turning a connection away");
    }
    reset_on_close(&stream);
}

/// Has the connection reset when it is closed.
pub(super) fn reset_on_close(stream: impl AsFd) {
    if let Err(error) = set_socket_linger(stream, Some(Duration::ZERO)) {
        tracing::debug!(%error, "SO_LINGER");
    }
}

/// The answer to a peer that may not ask anything.
pub(super) fn refusal(refusal: Refusal) -> String {
    response("403 Forbidden", "", &refusal.to_string())
}

/// The answer where nobody can be served at this moment.
pub(super) fn unavailable(problem: &str) -> String {
    response("503 Service Unavailable", "Retry-After: 1\r\n", problem)
}

fn response(status: &str, header: &str, text: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n{header}Connection: \
         close\r\n\r\n{text}\n",
        text.len() + 1
    )
}
