//! A WebSocket client that is deliberately dumb: JSON texts as they come, nothing typed, so that the
//! suites see the wire and not this project's idea of it.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    client::{IntoClientRequest, client},
    handshake::client::Response,
    http::{HeaderName, HeaderValue},
    protocol::WebSocketConfig,
};

use crate::{PATIENCE, Transcript};

/// No message of the server may be longer: the default limit of the clients' libraries.
const MESSAGE_BYTES_LIMIT: usize = 1024 * 1024;

/// What the server sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A JSON text.
    Json(Value),
    /// A close frame.
    Closed {
        /// 1005 where it had none.
        code: u16,
        /// Its text.
        reason: String,
    },
    /// The end of the connection.
    Ended,
}

/// What it takes to take a session over: what `connected` said.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub token: String,
}

/// One connection.
pub struct Client {
    socket: WebSocket<TcpStream>,
    backlog: VecDeque<Value>,
    connected: Value,
    last_id: u64,
    pings: u64,
    patience: Duration,
}

/// Why a handshake failed.
#[derive(Debug)]
pub enum Refused {
    /// Before the upgrade, with this HTTP status.
    Http(u16),
    /// Some other way.
    Other(String),
}

impl Client {
    /// Connects and reads `connected`.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address, "/ws/mcp", &[]).expect("the handshake succeeds");
        let connected = client.recv_json();
        assert_eq!(connected["method"], "connected", "the server speaks first: {connected}");
        client.connected = connected["params"].clone();
        client
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
    ///
    /// # Errors
    /// When the server refuses the handshake.
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
    ///
    /// # Errors
    /// When the server refuses the handshake.
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

    /// The params of `connected`.
    #[must_use]
    pub fn connected(&self) -> &Value {
        &self.connected
    }

    /// The session that this connection began with.
    ///
    /// # Panics
    /// When `connected` had no token.
    #[must_use]
    pub fn session(&self) -> Session {
        let text = |name: &str| {
            let text = self.connected[name].as_str().filter(|text| !text.is_empty());
            text.unwrap_or_else(|| panic!("connected has no {name}: {}", self.connected)).to_owned()
        };
        Session { id: text("session_id"), token: text("resume_token") }
    }

    /// `session.resume` from after this task and seq, or from the beginning.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn resume(
        &mut self,
        session: &Session,
        after: Option<(&str, u64)>,
    ) -> Result<Value, Value> {
        self.try_resume(session, after).expect("the connection lives until the answer has come")
    }

    /// The same on a connection that may be lost; `None` when it is.
    pub fn try_resume(
        &mut self,
        session: &Session,
        after: Option<(&str, u64)>,
    ) -> Option<Result<Value, Value>> {
        let mut params = json!({"session_id": session.id, "resume_token": session.token});
        if let Some((task_id, seq)) = after {
            params["after"] = json!({"task_id": task_id, "seq": seq});
        }
        self.try_call("session.resume", &params)
    }

    /// Connects and takes the session over.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn resumed(address: SocketAddr, session: &Session, after: Option<(&str, u64)>) -> Self {
        let mut client = Self::connect(address);
        let answer = client.resume(session, after).expect("the session is resumed");
        assert_eq!(answer["session_id"], session.id.as_str(), "{answer}");
        client
    }

    /// WebSocket pings seen (and answered) so far.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// Sends a text message.
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
    ///
    /// # Errors
    /// The `error` member of the response.
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

    /// A call about one task, which is named by its id.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn by_id(&mut self, method: &str, task_id: &str) -> Result<Value, Value> {
        self.call(method, &json!({ "task_id": task_id }))
    }

    /// Sends a text as it is; returns the next message.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask(&mut self, text: &str) -> Value {
        self.send_text(text);
        self.recv_json()
    }

    /// Checks that the server answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn assert_alive(&mut self) {
        assert!(self.call("ping", &json!({})).is_ok());
    }

    /// `execute`; the error is the `error` member of the response.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn execute(&mut self, params: &Value) -> Result<Value, Value> {
        self.call("execute", params)
    }

    /// `control`.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn control(&mut self, kind: &str) -> Result<Value, Value> {
        self.call("control", &json!({"type": kind}))
    }

    /// Runs a task to its end and checks the invariants of every transcript.
    ///
    /// # Panics
    /// When `execute` is refused.
    #[must_use]
    pub fn run_to_end(&mut self, params: &Value) -> Transcript {
        let answer = self.execute(params).expect("execute is accepted");
        self.collect(answer)
    }

    /// Runs a line of shell to its end.
    #[must_use]
    pub fn run_shell(&mut self, command: &str) -> Transcript {
        self.run_to_end(&json!({"command": command}))
    }

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

    /// `task.attach` from after this seq on.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn attach(&mut self, task_id: &str, after_seq: u64) -> Result<Value, Value> {
        self.call("task.attach", &json!({"task_id": task_id, "after_seq": after_seq}))
    }

    /// Attaches to a task and reads its events from after this seq on to the terminal one.
    ///
    /// # Panics
    /// When the server refuses, or the terminal event does not come.
    #[must_use]
    pub fn watch(&mut self, task_id: &str, after_seq: u64) -> Vec<Value> {
        self.attach(task_id, after_seq).expect("the task is attached to");
        let mut events = Vec::new();
        assert!(self.follow(&mut events), "the task {task_id} did not end: {:?}", events.last());
        events
    }

    /// `task.get`.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn task(&mut self, task_id: &str) -> Result<Value, Value> {
        self.call("task.get", &json!({ "task_id": task_id }))
    }

    /// Waits until `task.get` says that the task has ended; returns what it says.
    ///
    /// # Panics
    /// When it does not end, or is unknown.
    pub fn wait_for_end(&mut self, task_id: &str) -> Value {
        let mut task = Value::Null;
        crate::wait_until("the task ends", || {
            task = self.task(task_id).expect("the task is known");
            task["state"] == "ended"
        });
        task
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

    /// The next JSON message.
    ///
    /// # Panics
    /// When the connection ends or nothing comes.
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
    ///
    /// # Panics
    /// When the connection ends without a close frame.
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

    /// Ends the connection without a close frame, as a killed process does.
    pub fn vanish(self) {
        drop(self);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(self.socket.get_ref(), Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads raw bytes until the server closes the connection.
    ///
    /// # Errors
    /// When it does not, or resets it.
    pub fn drain(&mut self) -> io::Result<u64> {
        let stream = self.socket.get_mut();
        stream.set_read_timeout(Some(self.patience))?;
        io::copy(&mut stream.take(u64::MAX), &mut io::sink())
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
