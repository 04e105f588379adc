//! What a client reads: one message, or all up to an event.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{Client, Incoming};
use crate::Transcript;

/// No message of the server may be longer: the default limit of the clients' libraries.
const MESSAGE_BYTES_LIMIT: usize = 1024 * 1024;

impl Client {
    /// Reads the rest of the task that `execute` answered with `answer`.
    #[must_use]
    pub fn collect(&mut self, answer: Value) -> Transcript {
        self.collect_after(answer, Vec::new())
    }

    /// The same, where the test has read the task's first events itself.
    #[must_use]
    pub fn collect_after(&mut self, answer: Value, mut events: Vec<Value>) -> Transcript {
        while events.last().is_none_or(|event| event["method"] != "process.completed") {
            events.push(self.recv_json());
        }
        // Its answer comes after everything that the server had to say.
        self.call("ping", &json!({})).expect("ping is answered");
        events.extend(self.backlog.drain(..));
        Transcript::checked(answer, events)
    }

    /// Reads what the server sends, up to a task's terminal event, and adds it to `events`. Whether that
    /// came; where it did not, the connection ended, or nothing came for as long as the patience.
    pub fn follow(&mut self, events: &mut Vec<Value>) -> bool {
        loop {
            match self.recv_within(self.patience) {
                Some(Incoming::Json(message)) => {
                    let is_end = message["method"] == "process.completed";
                    events.push(message);
                    if is_end {
                        return true;
                    }
                }
                Some(Incoming::Closed { .. }) => {}
                Some(Incoming::Ended) | None => return false,
            }
        }
    }

    /// Reads events until `is_last` says so; returns all of them.
    pub fn recv_until(&mut self, mut is_last: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let message = self.recv_json();
            let is_end = is_last(&message);
            assert!(
                is_end || message["method"] != "process.completed",
                "the task ended before that came: {message}\nearlier: {events:?}"
            );
            events.push(message);
            if is_end {
                return events;
            }
        }
    }

    /// Reads events until the task has printed `text` (as a part of one line).
    pub fn recv_until_output(&mut self, text: &str) -> Vec<Value> {
        self.recv_until(|message| {
            message["method"] == "process.output"
                && message["params"]["data"].as_str().unwrap().contains(text)
        })
    }

    /// Reads events until one of this method.
    pub fn recv_until_method(&mut self, method: &str) -> Vec<Value> {
        self.recv_until(|message| message["method"] == method)
    }

    pub fn recv_json(&mut self) -> Value {
        match self.recv() {
            Incoming::Json(value) => value,
            end @ (Incoming::Closed { .. } | Incoming::Ended) => {
                panic!("a message was expected: {end:?}")
            }
        }
    }

    /// The next message, close frame or end.
    ///
    /// # Panics
    /// When nothing comes within the patience, or a message is too long or no JSON text.
    pub fn recv(&mut self) -> Incoming {
        let patience = self.patience;
        self.recv_within(patience).unwrap_or_else(|| panic!("nothing came within {patience:?}"))
    }

    /// The same; `None` when nothing comes in this time.
    ///
    /// # Panics
    /// When a message is too long or no JSON text.
    pub fn recv_within(&mut self, patience: Duration) -> Option<Incoming> {
        if let Some(message) = self.backlog.pop_front() {
            return Some(Incoming::Json(message));
        }
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.socket.get_mut().set_read_timeout(Some(left)).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let bytes = text.len();
                    assert!(bytes <= MESSAGE_BYTES_LIMIT, "a message of {bytes} bytes");
                    let message = serde_json::from_str(&text).expect("every text is JSON");
                    return Some(Incoming::Json(message));
                }
                Ok(Message::Ping(_)) => {
                    self.pings += 1;
                    // The library has queued the answer; it goes out now, not at the next message.
                    drop(self.socket.flush());
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.as_ref().map_or(1005, |frame| u16::from(frame.code));
                    let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                    return Some(Incoming::Closed { code, reason });
                }
                Ok(Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Binary(_)) => panic!("the server sent a binary message"),
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return None;
                }
                Err(_) => return Some(Incoming::Ended),
            }
        }
    }

    /// Reads to the close frame and then to the end of the connection; returns code and reason, and
    /// what came before.
    pub fn recv_close(&mut self) -> (u16, String, Vec<Value>) {
        let mut earlier = Vec::new();
        loop {
            match self.recv() {
                Incoming::Json(message) => earlier.push(message),
                Incoming::Closed { code, reason } => {
                    assert_eq!(self.recv(), Incoming::Ended, "nothing follows a close frame");
                    return (code, reason, earlier);
                }
                Incoming::Ended => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Closes politely and waits until the server has closed the connection, too.
    pub fn close(mut self) {
        self.socket.close(None).unwrap();
        while self.recv() != Incoming::Ended {}
    }

    /// Reads raw bytes until the server closes the connection.
    pub fn drain(&mut self) -> io::Result<u64> {
        let stream = self.socket.get_mut();
        stream.set_read_timeout(Some(self.patience))?;
        io::copy(&mut stream.take(u64::MAX), &mut io::sink())
    }
}
