//! A server that says what each test wants it to say.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

pub type Peer = WebSocketStream<TcpStream>;

pub async fn say(peer: &mut Peer, message: Value) {
    peer.send(Message::text(message.to_string())).await.unwrap();
}

/// The next request with this method; those before are answered with their parameters.
pub async fn hear(peer: &mut Peer, method: &str) -> Value {
    loop {
        let message = peer.next().await.unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text).unwrap();
        if request["method"] == method {
            return request;
        }
        assert_eq!(request["method"], "session.configure");
        say(peer, json!({"jsonrpc": "2.0", "id": request["id"], "result": request["params"]}))
            .await;
    }
}

pub async fn greeted(
    listener: &TcpListener,
    session_id: &str,
    grace_s: f64,
    heartbeat_s: f64,
) -> Peer {
    let (socket, _) = listener.accept().await.unwrap();
    let mut peer = tokio_tungstenite::accept_async(socket).await.unwrap();
    let limits = json!({"message_bytes": 1000, "sessions": 1, "line_bytes": 1, "output_bytes": 1});
    let params = json!({"session_id": session_id, "version": "0", "capabilities": [],
        "resume_token": "t", "resume_grace_s": grace_s, "heartbeat_interval_s": heartbeat_s,
        "limits": limits});
    say(&mut peer, json!({"jsonrpc": "2.0", "method": "connected", "params": params})).await;
    peer
}

pub async fn start_task(peer: &mut Peer) {
    let id = hear(peer, "execute").await["id"].take();
    let result = json!({"status": "started", "pid": 5, "pgid": 5, "task_id": "a",
        "containment": "subreaper"});
    say(peer, json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
    let params = json!({"status": "started", "pid": 5, "pgid": 5, "exit_code": null, "error": null,
        "task_id": "a", "seq": 1});
    say(peer, json!({"jsonrpc": "2.0", "method": "process.started", "params": params})).await;
}

pub async fn close(mut peer: Peer, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "because".into() };
    peer.close(Some(frame)).await.unwrap();
}

pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}
