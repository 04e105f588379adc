//! One WebSocket connection to a supervisor.

use std::{collections::VecDeque, fmt, time::Duration};

use cc_protocol::{
    SERVER_MESSAGE_BYTES_LIMIT, WEBSOCKET_PATHS,
    control::ControlType,
    envelope::Request,
    execute::{Execute, ExecuteResult},
    notification::{Connected, Notification},
};
use futures_util::{StreamExt, stream::SplitStream};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest,
        handshake::client::Request as HandshakeRequest,
        http::{HeaderValue, Uri, header::AUTHORIZATION},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::{
    error::Error,
    event::{self, Answer, Event},
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
/// Events that may come before the answer to `execute`: the contract allows none of the task itself.
const EARLY_EVENTS_LIMIT: usize = 256;
/// How much of a refusal's body is shown.
const REJECTION_TEXT_CHARS: usize = 300;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What proves to the server that a client may use it. Never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes the token's text without the white space around it (files end with a newline).
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// A connection with its session. Dropping it closes the session, which cancels its task.
///
/// Must live inside a tokio runtime with I/O and time enabled.
#[derive(Debug)]
pub struct Connection {
    incoming: SplitStream<Socket>,
    requests: mpsc::Sender<Utf8Bytes>,
    writer: JoinHandle<()>,
    connected: Connected,
    last_request_id: u64,
    early_events: VecDeque<Event>,
}

impl Connection {
    /// Connects to `ws://HOST:PORT[/PATH]` and waits for the server's greeting, at most 10 s.
    ///
    /// # Errors
    /// Everything of [`Error`] that concerns addresses, refusals and lost connections.
    pub async fn open(url: &str, token: Option<&Token>) -> Result<Self, Error> {
        let request = handshake_request(url, token)?;
        match time::timeout(HANDSHAKE_LIMIT, Self::shake_hands(url, request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::HandshakeTimeout { url: url.to_owned(), limit: HANDSHAKE_LIMIT }),
        }
    }

    async fn shake_hands(url: &str, request: HandshakeRequest) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(SERVER_MESSAGE_BYTES_LIMIT))
            .max_frame_size(Some(SERVER_MESSAGE_BYTES_LIMIT))
            .max_write_buffer_size(2 * CLIENT_MESSAGE_BYTES_LIMIT);
        let (socket, _response) =
            tokio_tungstenite::connect_async_with_config(request, Some(config), true)
                .await
                .map_err(|error| connect_error(url, error))?;
        let (outgoing, mut incoming) = socket.split();
        let connected = match read_event(&mut incoming).await? {
            Event::Notification(received) => match received.notification {
                Notification::Connected(connected) => connected,
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
                | Notification::TaskRetrying(_) => return Err(no_greeting()),
            },
            Event::Answer(Answer { id: None, outcome: Err(error) }) => {
                return Err(Error::SessionRefused(error));
            }
            Event::Answer(_) => return Err(no_greeting()),
        };
        let (requests, queue) = mpsc::channel(writer::REQUEST_QUEUE_LIMIT);
        let writer = tokio::spawn(writer::run(outgoing, queue));
        let early_events = VecDeque::new();
        Ok(Self { incoming, requests, writer, connected, last_request_id: 0, early_events })
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
        let id = self.send("execute", params).await?;
        loop {
            match read_event(&mut self.incoming).await? {
                Event::Answer(Answer { id: Some(answered), outcome }) if answered == id => {
                    let result = outcome.map_err(Error::Server)?;
                    return serde_json::from_value(result).map_err(|error| {
                        Error::Protocol(format!("{error}, in the answer to \"execute\""))
                    });
                }
                Event::Answer(Answer { id: None, outcome: Err(error) }) => {
                    return Err(Error::SessionRefused(error));
                }
                early if self.early_events.len() < EARLY_EVENTS_LIMIT => {
                    self.early_events.push_back(early);
                }
                Event::Answer(_) | Event::Notification(_) => {
                    return Err(Error::Protocol(format!(
                        "more than {EARLY_EVENTS_LIMIT} messages before the answer to \"execute\""
                    )));
                }
            }
        }
    }

    /// Asks for the running task to be paused, resumed or cancelled, and returns the request's id.
    ///
    /// Does not wait: output that comes before the answer must be read first, and only the caller
    /// can do that. The answer is the [`Event::Answer`] with this id.
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
    /// When the connection ends, or the server breaks the protocol.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        match self.early_events.pop_front() {
            Some(event) => Ok(event),
            None => read_event(&mut self.incoming).await,
        }
    }

    /// Closes the connection politely, within 2 s. What the server still says is thrown away.
    pub async fn close(self) {
        let Self { mut incoming, requests, writer, .. } = self;
        drop(requests);
        let goodbye = async {
            drop(writer.await);
            while let Some(Ok(_)) = incoming.next().await {}
        };
        // A server that does not answer the close in time loses the connection all the same.
        drop(time::timeout(CLOSE_LIMIT, goodbye).await);
    }

    async fn send(&mut self, method: &str, params: Value) -> Result<u64, Error> {
        let id = self.last_request_id + 1;
        let text = serde_json::to_string(&Request::new(id, method, params)).map_err(unwritable)?;
        let bytes_limit = self.connected.limits.message_bytes.min(CLIENT_MESSAGE_BYTES_LIMIT);
        if text.len() > bytes_limit {
            return Err(Error::MessageTooLarge { bytes: text.len(), bytes_limit });
        }
        self.last_request_id = id;
        if self.requests.send(text.into()).await.is_err() {
            // The writer has met a broken connection; the reading half knows how it ended.
            return Err(self.how_it_ended().await);
        }
        Ok(id)
    }

    async fn how_it_ended(&mut self) -> Error {
        loop {
            if let Err(error) = read_event(&mut self.incoming).await {
                return error;
            }
        }
    }
}

async fn read_event(incoming: &mut SplitStream<Socket>) -> Result<Event, Error> {
    loop {
        match incoming.next().await {
            Some(Ok(Message::Text(text))) => {
                if let Some(event) = event::read(text.as_str().to_owned())? {
                    return Ok(event);
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                return Err(Error::Protocol("a binary message".to_owned()));
            }
            Some(Err(tungstenite::Error::Capacity(error))) => {
                return Err(Error::Protocol(error.to_string()));
            }
            Some(Err(error)) => return Err(Error::Lost(Box::new(error))),
            None => return Err(Error::Lost("it ended without a close frame".into())),
        }
    }
}

fn closed(frame: Option<CloseFrame>) -> Error {
    const NO_STATUS: u16 = 1005;
    match frame {
        Some(frame) => {
            Error::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
        }
        None => Error::Closed { code: NO_STATUS, reason: String::new() },
    }
}

/// Checks the address, and adds the usual path and the token.
fn handshake_request(url: &str, token: Option<&Token>) -> Result<HandshakeRequest, Error> {
    let refused = |what: String| Error::Address { url: url.to_owned(), what };
    let uri: Uri = url.parse().map_err(|error| refused(format!("{error}")))?;
    match uri.scheme_str() {
        Some("ws") => {}
        Some("wss") => {
            return Err(refused("TLS is not supported; use ws:// on this machine".to_owned()));
        }
        Some(_) | None => {
            return Err(refused("it must begin with ws://, as in ws://127.0.0.1:8003".to_owned()));
        }
    }
    let has_path = !matches!(uri.path(), "" | "/");
    let full_url = if has_path {
        url.to_owned()
    } else {
        format!("{}{}", url.trim_end_matches('/'), WEBSOCKET_PATHS[0])
    };
    let mut request = full_url.into_client_request().map_err(|error| refused(error.to_string()))?;
    if let Some(Token(token)) = token {
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn connect_error(url: &str, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(source) => Error::Connect { url: url.to_owned(), source },
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let text = String::from_utf8_lossy(body);
            Error::Rejected {
                status: response.status().as_u16(),
                text: text.trim().chars().take(REJECTION_TEXT_CHARS).collect(),
            }
        }
        tungstenite::Error::Url(problem) => {
            Error::Address { url: url.to_owned(), what: problem.to_string() }
        }
        other @ (tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Tls(_)
        | tungstenite::Error::Capacity(_)
        | tungstenite::Error::Protocol(_)
        | tungstenite::Error::WriteBufferFull(_)
        | tungstenite::Error::Utf8(_)
        | tungstenite::Error::AttackAttempt
        | tungstenite::Error::HttpFormat(_)) => Error::Lost(Box::new(other)),
    }
}

fn no_greeting() -> Error {
    Error::Protocol("its first message is not \"connected\"".to_owned())
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Protocol(format!("the request cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        for (url, expected) in [
            ("ws://127.0.0.1:8003", "ws://127.0.0.1:8003/ws/mcp"),
            ("ws://127.0.0.1:8003/", "ws://127.0.0.1:8003/ws/mcp"),
            ("ws://localhost:8003/ws", "ws://localhost:8003/ws"),
        ] {
            assert_eq!(handshake_request(url, None).unwrap().uri().to_string(), expected);
        }
    }

    #[test]
    fn an_address_that_is_no_plain_websocket_is_refused_with_advice() {
        for url in ["http://localhost:8003", "wss://localhost", "localhost:8003", "ws://"] {
            let error = handshake_request(url, None).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{url}: {error}");
        }
    }

    #[test]
    fn a_token_is_sent_as_a_bearer_and_never_printed() {
        let token = Token::new("secret\n");
        let request = handshake_request("ws://localhost:1", Some(&token)).unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer secret");
        assert!(!format!("{token:?}{:?}", request.headers()).contains("secret"));
    }
}
