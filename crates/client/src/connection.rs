//! One WebSocket connection to a supervisor, and what can be asked on it.
//!
//! It ends with its socket; a [`crate::Session`] outlives it.

use std::{collections::VecDeque, time::Duration};

use cc_protocol::{
    SERVER_MESSAGE_BYTES_LIMIT,
    control::ControlType,
    envelope::Request,
    execute::{Execute, ExecuteResult},
    notification::{Connected, Notification},
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time};
use tokio_tungstenite::tungstenite::{
    Utf8Bytes, handshake::client::Request as HandshakeRequest, protocol::WebSocketConfig,
};

use crate::{
    address::{Token, connect_error, handshake_request, stream_error},
    error::Error,
    event::{Event, Response},
    reader::Reader,
    stream::{Endpoint, Stream},
    writer,
};

/// From the first packet to `connected`.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Until a polite close is given up.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Longest request, whatever the server would take.
const CLIENT_MESSAGE_BYTES_LIMIT: usize = 64 * 1024 * 1024;
/// One read from the socket.
const READ_BUFFER_BYTES: usize = 32 * 1024;
/// What may come before an answer that is waited for, and is kept for [`Connection::next_event`]. Servers
/// send answers before output, so it is what was under way.
const EARLY_EVENTS_BYTES_LIMIT: u64 = 32 * 1024 * 1024;

/// A connection. Dropping it leaves the session to its grace period; [`Connection::close`] ends it.
///
/// Must live inside a tokio runtime with I/O and time enabled.
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    requests: mpsc::Sender<Utf8Bytes>,
    writer: JoinHandle<()>,
    connected: Connected,
    last_request_id: u64,
    early_events: VecDeque<Event>,
    early_events_bytes: u64,
}

impl Connection {
    /// Connects to `ws://HOST:PORT[/PATH]`, `wss://…` or `unix:/PATH`, and waits for the server's greeting, at most 10 s.
    ///
    /// # Errors
    /// Everything of [`Error`] that concerns addresses, refusals and lost connections.
    pub async fn open(url: &str, token: Option<&Token>) -> Result<Self, Error> {
        let (endpoint, request) = handshake_request(url, token)?;
        let shaking = Self::shake_hands(url, &endpoint, request);
        match time::timeout(HANDSHAKE_LIMIT, shaking).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::HandshakeTimeout { url: url.to_owned(), limit: HANDSHAKE_LIMIT }),
        }
    }

    async fn shake_hands(
        url: &str,
        endpoint: &Endpoint,
        request: HandshakeRequest,
    ) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(SERVER_MESSAGE_BYTES_LIMIT))
            .max_frame_size(Some(SERVER_MESSAGE_BYTES_LIMIT))
            .max_write_buffer_size(2 * CLIENT_MESSAGE_BYTES_LIMIT);
        let connecting = Stream::connect(endpoint).await;
        let stream = connecting.map_err(|error| stream_error(url, error))?;
        let (socket, _response) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config))
                .await
                .map_err(|error| connect_error(url, error))?;
        let (outgoing, incoming) = socket.split();
        let mut reader = Reader::new(incoming);
        let connected = greeting(reader.event().await?)?;
        reader.expect_heartbeat(connected.heartbeat_interval_s);
        let (requests, queue) = mpsc::channel(writer::REQUEST_QUEUE_LIMIT);
        let writer = tokio::spawn(writer::run(outgoing, queue, connected.heartbeat_interval_s));
        Ok(Self {
            reader,
            requests,
            writer,
            connected,
            last_request_id: 0,
            early_events: VecDeque::new(),
            early_events_bytes: 0,
        })
    }

    /// What the server said of itself and of this session.
    #[must_use]
    pub fn connected(&self) -> &Connected {
        &self.connected
    }

    /// Starts a task and waits for the answer. The task's events then come from
    /// [`Connection::next_event`]; the last one of them is `process.completed`.
    ///
    /// # Errors
    /// [`Error::Server`] when the server does not start it (then nothing of it follows),
    /// [`Error::MessageTooLarge`], and whatever ends a connection.
    pub async fn execute(&mut self, task: &Execute) -> Result<ExecuteResult, Error> {
        let params = serde_json::to_value(task).map_err(unwritable)?;
        self.call("execute", params).await
    }

    /// Asks for the running task to be paused, resumed or canceled, and returns the request's id.
    ///
    /// Does not wait: output that comes before the answer must be read first, and only the caller
    /// can do that. The answer is the [`Event::Response`] with this id.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn control(&mut self, control: ControlType) -> Result<u64, Error> {
        self.send("control", json!({ "type": control.as_str() })).await
    }

    /// The next thing that the server says. Notifications that this version does not know are
    /// skipped. Cancel safe: nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    /// When the connection ends, the server is silent for 2.5 heartbeats, or it breaks the protocol.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        match self.early_events.pop_front() {
            Some(event) => {
                if self.early_events.is_empty() {
                    self.early_events_bytes = 0;
                }
                Ok(event)
            }
            None => self.reader.event().await,
        }
    }

    /// Ends the session and closes the connection politely, within 2 s. A running task of the session is
    /// canceled. What the server still says is thrown away.
    pub async fn close(mut self) {
        // An old server does not know the method; for it the close itself is the end.
        let goodbye = async {
            let is_sent = self.send("session.close", json!({})).await.is_ok();
            let Self { reader, requests, writer, .. } = self;
            drop(requests);
            if is_sent {
                tokio::join!(reader.drain(), async { drop(writer.await) });
            }
        };
        // A server that does not answer the close in time loses the connection all the same.
        drop(time::timeout(CLOSE_LIMIT, goodbye).await);
    }

    /// Sends a request and waits for its answer; keeps what comes before.
    pub(crate) async fn call<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<T, Error> {
        let id = self.send(method, params).await?;
        loop {
            let bytes_before = self.reader.bytes();
            match self.reader.event().await? {
                Event::Response(Response { id: Some(answered), outcome }) if answered == id => {
                    return read_result(method, outcome.map_err(Error::Server)?);
                }
                Event::Response(Response { id: None, outcome: Err(error) }) => {
                    return Err(Error::SessionRefused(error));
                }
                early @ (Event::Notification(_) | Event::Response(_)) => {
                    self.early_events_bytes += self.reader.bytes() - bytes_before;
                    if self.early_events_bytes > EARLY_EVENTS_BYTES_LIMIT {
                        let what = format!(
                            "more than {EARLY_EVENTS_BYTES_LIMIT} bytes before the answer to {method:?}"
                        );
                        return Err(Error::Protocol(what));
                    }
                    self.early_events.push_back(early);
                }
            }
        }
    }

    /// Sends a request without waiting for its answer, which will have the returned id.
    pub(crate) async fn send(&mut self, method: &str, params: Value) -> Result<u64, Error> {
        let id = self.last_request_id + 1;
        let text = serde_json::to_string(&Request::new(id, method, params)).map_err(unwritable)?;
        check_length(text.len(), &self.connected)?;
        self.last_request_id = id;
        if self.requests.send(text.into()).await.is_err() {
            // The writer has met a broken connection; the reading half knows how it ended.
            return Err(self.how_it_ended().await);
        }
        Ok(id)
    }

    /// Reads to the end of the connection and discards what comes, for which there is no caller.
    async fn how_it_ended(&mut self) -> Error {
        loop {
            if let Err(error) = self.reader.event().await {
                return error;
            }
        }
    }
}

fn check_length(bytes: usize, connected: &Connected) -> Result<(), Error> {
    let bytes_limit = connected.limits.message_bytes.min(CLIENT_MESSAGE_BYTES_LIMIT);
    if bytes > bytes_limit {
        return Err(Error::MessageTooLarge { bytes, bytes_limit });
    }
    Ok(())
}

fn greeting(event: Event) -> Result<Connected, Error> {
    match event {
        Event::Notification(received) => match received.notification {
            Notification::Connected(connected) => Ok(connected),
            Notification::Started(_)
            | Notification::Output(_)
            | Notification::OutputBatch(_)
            | Notification::Paused(_)
            | Notification::Resumed(_)
            | Notification::Canceled(_)
            | Notification::Completed(_)
            | Notification::Error(_)
            | Notification::RateLimited(_)
            | Notification::TokenLimited(_)
            | Notification::OutputDropped(_)
            | Notification::TaskResult(_)
            | Notification::TaskRetrying(_)
            | Notification::BatchProgress(_)
            | Notification::BatchCompleted(_)
            | Notification::Alert(_) => Err(no_greeting()),
        },
        Event::Response(Response { id: None, outcome: Err(error) }) => {
            Err(Error::SessionRefused(error))
        }
        Event::Response(_) => Err(no_greeting()),
    }
}

fn no_greeting() -> Error {
    Error::Protocol("its first message is not \"connected\"".to_owned())
}

/// A result as its type.
pub(crate) fn read_result<T: DeserializeOwned>(method: &str, result: Value) -> Result<T, Error> {
    serde_json::from_value(result)
        .map_err(|error| Error::Protocol(format!("{error}, in the answer to {method:?}")))
}

pub(crate) fn unwritable(error: serde_json::Error) -> Error {
    Error::Protocol(format!("the request cannot be written as JSON: {error}"))
}
