//! The client against a server that says exactly what each test wants it to say.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use cc_client::{Connection, Error, Event, Response};
use cc_protocol::{
    control::ControlType,
    execute::{Execute, Program},
    notification::Notification,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

type Peer = WebSocketStream<TcpStream>;

/// Starts a server for one connection that acts as `play` says; returns its address, and a handle
/// that fails the test where `play` failed.
async fn serve<F>(play: impl FnOnce(Peer) -> F + Send + 'static) -> (String, JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        play(tokio_tungstenite::accept_async(socket).await.unwrap()).await;
    });
    (url, server)
}

async fn say(peer: &mut Peer, message: Value) {
    peer.send(Message::text(message.to_string())).await.unwrap();
}

async fn hear(peer: &mut Peer) -> Value {
    let message = peer.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn greet(peer: &mut Peer) {
    let limits = json!({"message_bytes": 1000, "sessions": 1, "line_bytes": 1, "output_bytes": 1});
    let params = json!({"session_id": "s", "version": "0", "capabilities": ["execute"],
        "heartbeat_interval_s": 30.0, "limits": limits});
    say(peer, json!({"jsonrpc": "2.0", "method": "connected", "params": params})).await;
}

fn output(data: &str, seq: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "process.output", "params": {
        "type": "stdout", "data": data, "truncated": false, "chunk_index": null,
        "total_chunks": null, "task_id": "t", "seq": seq}})
}

fn started(id: &Value) -> Value {
    let result = json!({"status": "started", "pid": 5, "pgid": 5, "task_id": "t",
        "containment": "subreaper"});
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn task() -> Execute {
    Execute { program: Program::Argv { argv: vec!["true".to_owned()] }, ..Execute::default() }
}

fn data(event: &Event) -> &str {
    let Event::Notification(received) = event else { panic!("no notification: {event:?}") };
    let Notification::Output(output) = &received.notification else { panic!("no output") };
    &output.data
}

#[tokio::test]
async fn a_task_is_started_and_its_events_come_in_order_without_the_unknown_ones() {
    let (url, server) = serve(|mut peer| async move {
        greet(&mut peer).await;
        let request = hear(&mut peer).await;
        assert_eq!(request["method"], "execute");
        assert_eq!(request["params"], json!({"argv": ["true"]}));
        say(&mut peer, output("early", 1)).await;
        say(&mut peer, started(&request["id"])).await;
        say(&mut peer, json!({"jsonrpc": "2.0", "method": "new.thing", "params": {}})).await;
        say(&mut peer, output("late", 2)).await;
        peer.next().await;
    })
    .await;
    let mut connection = Connection::open(&url, None).await.unwrap();
    assert_eq!(connection.connected().session_id, "s");
    assert_eq!(connection.execute(&task()).await.unwrap().task_id, "t");
    assert_eq!(data(&connection.next_event().await.unwrap()), "early");
    assert_eq!(data(&connection.next_event().await.unwrap()), "late");
    connection.close().await;
    server.await.unwrap();
}

#[tokio::test]
async fn a_refused_task_bears_the_servers_error_and_the_connection_goes_on() {
    let (url, server) = serve(|mut peer| async move {
        greet(&mut peer).await;
        let id = hear(&mut peer).await["id"].take();
        let error = json!({"code": -32017, "message": "no", "data": {"kind": "spawn_failed"}});
        say(&mut peer, json!({"jsonrpc": "2.0", "id": id, "error": error})).await;
        let request = hear(&mut peer).await;
        assert_eq!(
            (&request["method"], &request["params"]),
            (&json!("control"), &json!({"type": "PAUSE"}))
        );
        say(
            &mut peer,
            json!({"jsonrpc": "2.0", "id": request["id"], "result": {"status": "paused"}}),
        )
        .await;
        peer.next().await;
    })
    .await;
    let mut connection = Connection::open(&url, None).await.unwrap();
    let Err(Error::Server(error)) = connection.execute(&task()).await else { panic!("started") };
    assert_eq!((error.code, &error.data["kind"]), (-32017, &json!("spawn_failed")));
    let id = connection.control(ControlType::Pause).await.unwrap();
    let answer = connection.next_event().await.unwrap();
    let outcome = Ok(json!({"status": "paused"}));
    assert_eq!(answer, Event::Response(Response { id: Some(id), outcome }));
    drop(connection);
    server.await.unwrap();
}

#[tokio::test]
async fn a_refused_session_and_a_closed_connection_say_why() {
    let (url, server) = serve(|mut peer| async move {
        let error = json!({"code": -32003, "message": "Session limit exceeded", "data": {}});
        say(&mut peer, json!({"jsonrpc": "2.0", "error": error})).await;
    })
    .await;
    let Err(Error::SessionRefused(error)) = Connection::open(&url, None).await else {
        panic!("accepted")
    };
    assert_eq!(error.code, -32003);
    server.await.unwrap();

    let (url, server) = serve(|mut peer| async move {
        greet(&mut peer).await;
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
            code: 1001.into(),
            reason: "the supervisor stops".into(),
        };
        peer.close(Some(frame)).await.unwrap();
    })
    .await;
    let mut connection = Connection::open(&url, None).await.unwrap();
    let error = connection.next_event().await.unwrap_err();
    assert_eq!(error.to_string(), "the server closed the connection (1001: the supervisor stops)");
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_over_the_servers_limit_is_not_sent() {
    let (url, server) = serve(|mut peer| async move {
        greet(&mut peer).await;
        assert_eq!(hear(&mut peer).await["method"], "session.close", "nothing but the end");
        assert!(matches!(peer.next().await, Some(Ok(Message::Close(_)))));
    })
    .await;
    let mut connection = Connection::open(&url, None).await.unwrap();
    let long = Program::Argv { argv: vec!["x".repeat(2000)] };
    let error = connection.execute(&Execute { program: long, ..Execute::default() }).await;
    assert!(matches!(error, Err(Error::MessageTooLarge { bytes_limit: 1000, .. })));
    connection.close().await;
    server.await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_contracts_limit_is_an_error_and_costs_no_memory() {
    let (url, server) = serve(|mut peer| async move {
        greet(&mut peer).await;
        // The client hangs up in the middle, so this may fail.
        drop(peer.send(Message::text("x".repeat(2 * 1024 * 1024))).await);
    })
    .await;
    let mut connection = Connection::open(&url, None).await.unwrap();
    assert!(matches!(connection.next_event().await, Err(Error::Protocol(_))));
    drop(connection);
    server.await.unwrap();
}

#[tokio::test]
async fn nobody_there_and_no_websocket_there_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 12\r\n\r\nnot for you\n";
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    let url = format!("ws://{address}");
    let refused = Connection::open(&url, None).await;
    assert!(
        matches!(&refused, Err(Error::Rejected { status: 403, text }) if text == "not for you"),
        "{refused:?}"
    );
    // With its task the listener goes.
    server.await.unwrap();
    let nobody = Connection::open(&url, None).await;
    assert!(matches!(nobody, Err(Error::Connect { .. })), "{nobody:?}");
}
