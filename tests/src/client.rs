//! A WebSocket client that is deliberately dumb: JSON texts as they come, nothing typed, so that the
//! suites see the wire and not this project's idea of it.

mod receive;
mod requests;

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    client::{IntoClientRequest, client},
    handshake::client::Response,
    http::{HeaderName, HeaderValue},
    protocol::WebSocketConfig,
};

use crate::PATIENCE;

#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    Json(Value),
    Closed {
        /// 1005 where it had none.
        code: u16,
        reason: String,
    },
    /// The end of the connection.
    Ended,
}

/// What it takes to take a session over: what `connected` said.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: String,
    pub token: String,
}

pub struct Client {
    socket: WebSocket<TcpStream>,
    backlog: VecDeque<Value>,
    connected: Value,
    last_id: u64,
    pings: u64,
    patience: Duration,
}

#[derive(Debug)]
pub enum Refused {
    /// Before the upgrade, with this HTTP status.
    Http(u16),
    Other(String),
}

impl Client {
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address, "/ws/mcp", &[]).expect("the handshake succeeds");
        client.read_connected();
        client
    }

    /// Reads the first message of a connection that was opened with headers.
    pub(crate) fn read_connected(&mut self) {
        let connected = self.recv_json();
        assert_eq!(connected["method"], "connected", "the server speaks first: {connected}");
        self.connected = connected["params"].clone();
    }

    /// Connects by a network that may fail, and reads `connected`; `None` when it does.
    #[must_use]
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let mut client = Self::open(address, "/ws/mcp", &[]).ok()?;
        let Some(Incoming::Json(connected)) = client.recv_within(PATIENCE) else { return None };
        client.connected = connected["params"].clone();
        Some(client)
    }

    /// Connects with additional headers and reads nothing.
    pub fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Refused> {
        let stream = crate::http::try_connect(address);
        let stream = stream.map_err(|error| Refused::Other(error.to_string()))?;
        Self::handshake(address, path, headers, stream)
    }

    /// Makes the handshake on a connection that has been there for a while, and reads nothing.
    pub fn over_stream(address: SocketAddr, stream: TcpStream) -> Result<Self, Refused> {
        Self::handshake(address, "/ws/mcp", &[], stream)
    }

    fn handshake(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        stream: TcpStream,
    ) -> Result<Self, Refused> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        match client(request, stream) {
            Ok((socket, _response)) => Ok(Self::over(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let response: &Response = &response;
                Err(Refused::Http(response.status().as_u16()))
            }
            Err(error) => Err(Refused::Other(error.to_string())),
        }
    }

    fn over(mut socket: WebSocket<TcpStream>) -> Self {
        socket.set_config(|config: &mut WebSocketConfig| {
            config.max_message_size = None;
            config.max_frame_size = None;
        });
        Self {
            socket,
            backlog: VecDeque::new(),
            connected: Value::Null,
            last_id: 0,
            pings: 0,
            patience: PATIENCE,
        }
    }

    /// Waits longer, or less long, than [`PATIENCE`] for each message.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    #[must_use]
    pub fn connected(&self) -> &Value {
        &self.connected
    }

    /// WebSocket pings seen (and answered) so far.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.pings
    }

    pub fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends bytes as they are, past the WebSocket library: frames made by hand.
    ///
    /// # Errors
    /// When the server has closed the connection meanwhile, which may be what the test wants.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.get_mut().write_all(bytes)
    }

    /// Sends a request and returns its id.
    pub fn send_request(&mut self, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id});
        self.send_text(&request.to_string());
        id
    }

    /// Sends a request and waits for its response; what comes before it is kept for later.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.try_call(method, params).expect("the connection lives until the answer has come")
    }

    /// The same on a connection that may be lost; `None` when it is, or when nothing comes for as long
    /// as the patience.
    pub fn try_call(&mut self, method: &str, params: &Value) -> Option<Result<Value, Value>> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id});
        self.socket.send(Message::text(request.to_string())).ok()?;
        let mut earlier = VecDeque::new();
        let response = loop {
            match self.recv_within(self.patience) {
                Some(Incoming::Json(message)) if message.get("id") == Some(&json!(id)) => {
                    break Some(message);
                }
                Some(Incoming::Json(message)) => earlier.push_back(message),
                Some(Incoming::Closed { .. }) => {}
                Some(Incoming::Ended) | None => break None,
            }
        };
        earlier.append(&mut self.backlog);
        self.backlog = earlier;
        response.as_ref().map(outcome)
    }

    /// Sends a text as it is; returns the next message.
    pub fn ask(&mut self, text: &str) -> Value {
        self.send_text(text);
        self.recv_json()
    }

    /// Ends the connection without a close frame, as a killed process does.
    pub fn vanish(self) {
        drop(self);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(self.socket.get_ref(), Some(Duration::ZERO))
            .unwrap();
    }
}

/// The result, or the error.
fn outcome(response: &Value) -> Result<Value, Value> {
    assert_eq!(response["jsonrpc"], "2.0", "{response}");
    match (response.get("result"), response.get("error")) {
        (Some(result), None) => Ok(result.clone()),
        (None, Some(error)) => Err(error.clone()),
        _ => panic!("neither result nor error, or both: {response}"),
    }
}

/// Turns every batch of lines into the single lines that another connection would get.
#[must_use]
pub fn unbatched(events: &[Value]) -> Vec<Value> {
    let mut single = Vec::new();
    for event in events {
        if event["method"] != "process.output_batch" {
            single.push(event.clone());
            continue;
        }
        let items = event["params"]["items"].as_array().unwrap();
        assert!(!items.is_empty(), "an empty batch");
        for item in items {
            let mut params = json!({
                "task_id": event["params"]["task_id"],
                "truncated": false,
                "chunk_index": null,
                "total_chunks": null,
            });
            for (name, value) in item.as_object().unwrap() {
                params[name] = value.clone();
            }
            single.push(json!({"jsonrpc": "2.0", "method": "process.output", "params": params}));
        }
    }
    single
}
