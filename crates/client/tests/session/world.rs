//! A server in the test process that keeps its promises, and whose connections break where a test says.
//!
//! It knows one session and one task. The task's events are there at once when it is started; a cancel
//! adds the last two. Every message to or from the client has a boundary before it, and a request has
//! another one between what it does and its answer. A connection can be cut at each of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

/// Events of the task before somebody cancels it.
pub const EVENTS: u64 = 12;

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The socket is gone.
    Drop,
    /// With a close frame: the server restarts.
    Close,
    /// In the middle of a frame.
    Half,
}

#[derive(Debug, Default)]
struct State {
    boundary: u64,
    cuts: VecDeque<(u64, Cut)>,
    executes: u32,
    cancels: u32,
    log: Vec<Value>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct World {
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// The connection is to break here.
struct Broken;

type Peer = WebSocketStream<TcpStream>;

impl World {
    /// Cuts at these boundaries, counted over all connections from the first greeting on.
    pub async fn start(cuts: impl IntoIterator<Item = (u64, Cut)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let state = State { cuts: cuts.into_iter().collect(), ..State::default() };
        let world = Self { url, state: Arc::new(Mutex::new(state)) };
        let served = world.clone();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut is_first = true;
            loop {
                let conversation =
                    Conversation { world: served.clone(), cursor: None, batch: false };
                drop(conversation.hold(socket, is_first).await);
                is_first = false;
                socket = listener.accept().await.unwrap().0;
            }
        });
        world
    }

    /// How many tasks and how many cancellations were begun, and which cuts never came.
    pub fn outcome(&self) -> (u32, u32, usize) {
        let state = self.state.lock().unwrap();
        (state.executes, state.cancels, state.cuts.len())
    }

    fn boundary(&self) -> Option<Cut> {
        let mut state = self.state.lock().unwrap();
        state.boundary += 1;
        let (at, cut) = *state.cuts.front()?;
        if at > state.boundary {
            return None;
        }
        state.cuts.pop_front();
        Some(cut)
    }
}

struct Conversation {
    world: World,
    /// How many events of the task have been sent.
    cursor: Option<usize>,
    batch: bool,
}

impl Conversation {
    async fn hold(mut self, socket: TcpStream, is_first: bool) -> Result<(), Broken> {
        if !is_first && self.world.boundary().is_some() {
            return Err(Broken);
        }
        let Ok(mut peer) = tokio_tungstenite::accept_async(socket).await else {
            return Err(Broken);
        };
        let (session_id, resume_token) = if is_first { ("s", "t") } else { ("new", "n") };
        let greeting = json!({"jsonrpc": "2.0", "method": "connected", "params": {
            "session_id": session_id, "version": "0", "capabilities": [],
            "resume_token": resume_token, "resume_grace_s": 60.0, "heartbeat_interval_s": 30.0,
            "limits": {"message_bytes": 10000, "sessions": 1, "line_bytes": 1, "output_bytes": 1}}});
        if is_first {
            peer.send(Message::text(greeting.to_string())).await.map_err(|_| Broken)?;
        } else {
            self.say(&mut peer, &greeting).await?;
        }
        loop {
            let message = tokio::select! {
                biased;
                message = peer.next() => message,
                event = self.next_event() => {
                    self.say(&mut peer, &event).await?;
                    continue;
                }
            };
            let Some(Ok(message)) = message else { return Err(Broken) };
            if let Message::Text(text) = message {
                let request: Value = serde_json::from_str(&text).unwrap();
                self.pass(&mut peer, None).await?;
                let mut answer = self.serve(&request);
                answer["jsonrpc"] = json!("2.0");
                answer["id"] = request["id"].clone();
                self.say(&mut peer, &answer).await?;
            }
        }
    }

    /// The next one or two events; never where there are none.
    async fn next_event(&mut self) -> Value {
        let rest: Vec<Value> = match self.cursor {
            Some(cursor) => self.world.state.lock().unwrap().log[cursor..].to_vec(),
            None => Vec::new(),
        };
        let is_line = |event: &Value| event["method"] == "process.output";
        match rest.as_slice() {
            [] => std::future::pending().await,
            [first, second, ..] if self.batch && is_line(first) && is_line(second) => {
                self.cursor = self.cursor.map(|cursor| cursor + 2);
                let item = |event: &Value| {
                    let params = &event["params"];
                    json!({"seq": params["seq"], "type": "stdout", "data": params["data"]})
                };
                json!({"jsonrpc": "2.0", "method": "process.output_batch",
                    "params": {"task_id": "a", "items": [item(first), item(second)]}})
            }
            [first, ..] => {
                self.cursor = self.cursor.map(|cursor| cursor + 1);
                first.clone()
            }
        }
    }

    fn serve(&mut self, request: &Value) -> Value {
        let mut state = self.world.state.lock().unwrap();
        let params = &request["params"];
        let is_ended = state.log.len() as u64 > EVENTS;
        match request["method"].as_str().unwrap() {
            "session.configure" => {
                self.batch = params["output_batch"] == true;
                json!({"result": params})
            }
            "session.resume" => {
                assert_eq!(
                    (&params["session_id"], &params["resume_token"]),
                    (&json!("s"), &json!("t"))
                );
                let seq = params["after"]["seq"].as_u64().unwrap_or(0);
                self.cursor = Some(usize::try_from(seq).unwrap());
                let tasks =
                    if state.log.is_empty() { json!([]) } else { json!([summary(is_ended)]) };
                json!({"result": {"session_id": "s", "tasks": tasks}})
            }
            "execute" => {
                state.executes += 1;
                state.log = (1..=EVENTS).map(event).collect();
                self.cursor = Some(0);
                json!({"result": {"status": "started", "pid": 7, "pgid": 7, "task_id": "a",
                    "containment": "subreaper"}})
            }
            "control" if is_ended => {
                json!({"error": {"code": -32002, "message": "No process is running", "data": {}}})
            }
            "control" => {
                assert_eq!(params["type"], "CANCEL");
                state.cancels += 1;
                state.log.extend([event(EVENTS + 1), event(EVENTS + 2)]);
                json!({"result": {"status": "canceled"}})
            }
            unknown => json!({"error": {"code": -32601, "message": unknown, "data": {}}}),
        }
    }

    async fn say(&self, peer: &mut Peer, message: &Value) -> Result<(), Broken> {
        let text = message.to_string();
        self.pass(peer, Some(&text)).await?;
        peer.send(Message::text(text)).await.map_err(|_| Broken)
    }

    /// A boundary, before this text or before something else.
    async fn pass(&self, peer: &mut Peer, text: Option<&str>) -> Result<(), Broken> {
        match (self.world.boundary(), text) {
            (None, _) => return Ok(()),
            (Some(Cut::Close), _) => {
                let frame = CloseFrame { code: 1012.into(), reason: "restart".into() };
                drop(peer.close(Some(frame)).await);
            }
            (Some(Cut::Half), Some(text)) => {
                const FINAL_TEXT: u8 = 0x81;
                const TWO_BYTES_OF_LENGTH: u8 = 126;
                let length = u16::try_from(text.len()).unwrap().to_be_bytes();
                let mut frame = vec![FINAL_TEXT, TWO_BYTES_OF_LENGTH, length[0], length[1]];
                frame.extend(&text.as_bytes()[..text.len() / 2]);
                drop(peer.get_mut().write_all(&frame).await);
            }
            (Some(Cut::Drop | Cut::Half), _) => {}
        }
        Err(Broken)
    }
}

fn event(seq: u64) -> Value {
    let position = json!({"task_id": "a", "seq": seq});
    let (method, mut params) = match seq {
        1 => ("process.started", status("started")),
        EVENTS => ("process.resumed", status("resumed")),
        ..EVENTS => (
            "process.output",
            json!({"type": "stdout", "data": format!("{seq}\n"), "truncated": false,
                   "chunk_index": null, "total_chunks": null}),
        ),
        _ if seq == EVENTS + 1 => ("process.canceled", status("canceled")),
        _ => (
            "process.completed",
            json!({"status": "failed", "pid": 7, "pgid": 7, "exit_code": -15, "error": null,
                   "execution_time": 0.1, "reason": "canceled", "verdict": "canceled", "signal": 15,
                   "duration_ms": 100, "cpu_ms": 1, "max_rss_bytes": 1, "killed_leftovers": 0,
                   "unkillable": 0, "output": {"lines": 1, "bytes": 1, "dropped_lines": 0,
                   "dropped_bytes": 0, "truncated_lines": 0}}),
        ),
    };
    params.as_object_mut().unwrap().extend(position.as_object().unwrap().clone());
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn status(word: &str) -> Value {
    json!({"status": word, "pid": 7, "pgid": 7, "exit_code": null, "error": null})
}

fn summary(is_ended: bool) -> Value {
    let state = if is_ended { "ended" } else { "running" };
    json!({"task_id": "a", "state": state, "label": null, "command": "x", "is_prompt": false,
        "session_id": "s", "accepted_ms": 1, "ended_ms": null, "pid": 7, "last_seq": 1, "log_bytes": 1,
        "reason": null, "verdict": null, "exit_code": null})
}
