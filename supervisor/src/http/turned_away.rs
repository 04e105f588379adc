//! Connections that are turned away as soon as they are accepted: with a fixed answer, and closed. They keep nothing: no place, no
//! descriptor, no tokio task, no time.
//!
//! The answer is sent before a request is read, which HTTP allows (RFC 9110 section 15). Of a flood of
//! strangers a few in a second are answered, and the rest is reset without a word, so that not even the kernel keeps anything of it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    fd::AsFd,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt::set_socket_linger},
};

use crate::http::{admission::Refusal, pace::Pace};

const ANSWERS: Pace = Pace { at_once: 50, interval: Duration::from_millis(20) };
/// What is thrown away of a request: a connection that is closed with unread bytes is reset, and its client may miss the answer.
const DISCARDED_BYTES: usize = 16 * 1024;

/// Whether there is time to answer a stranger.
#[derive(Debug, Default)]
pub(super) struct Courtesy(Mutex<Option<Instant>>);

impl Courtesy {
    pub(super) fn has_time(&self, now: Instant) -> bool {
        let mut forgotten = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ANSWERS.allows(forgotten.get_or_insert(now), now)
    }
}

/// Answers a connection that is then to be closed.
pub(super) fn turn_away(stream: impl AsFd, answer: &str) {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = send(&stream, answer.as_bytes(), flags);
    if let Err(error) = sent.and_then(|_| shutdown(&stream, Shutdown::Write)) {
        tracing::debug!(%error, "turning a connection away");
    }
    // What has come of the request.
    if let Err(error) = recv(&stream, &mut [0; DISCARDED_BYTES], RecvFlags::DONTWAIT) {
        tracing::trace!(%error, "nothing has come of the request yet");
    }
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
