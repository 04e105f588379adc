//! A session through broken connections: whatever breaks where, its caller hears everything once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use cc_batch::Plan;
use cc_client::{BatchAnswer, BatchRequest, Error, Reconnect, Session, SessionEvent, Unknown};
use cc_protocol::{
    control::ControlType,
    execute::{Execute, Program},
    notification::{Notification, Position},
};
use futures_util::{SinkExt as _, StreamExt as _};
use proptest::{
    prelude::ProptestConfig, prop_oneof, strategy::Just, test_runner::FileFailurePersistence,
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};
use world::{Cut, EVENTS, World};

/// Tests do not wait for politeness.
const QUICK: Reconnect = Reconnect {
    delay_least: Duration::from_millis(1),
    delay_most: Duration::from_millis(5),
    patience: None,
};
/// The event at which the caller cancels its task.
const CANCEL_AT: u64 = EVENTS;

fn task() -> Execute {
    Execute { program: Program::Argv { argv: vec!["x".to_owned()] }, ..Execute::default() }
}

/// What a caller heard.
#[derive(Debug, Default)]
struct Heard {
    seqs: Vec<u64>,
    started: u32,
    controlled: u32,
    outages: u32,
    recoveries: u32,
}

/// Runs the world's task, cancels it at its last event, and hears it to its end.
async fn hear_all(world: &World) -> Heard {
    let mut heard = Heard::default();
    let mut session = Session::open(&world.url, None, QUICK).await.unwrap();
    session.execute(&task()).await.unwrap();
    while heard.controlled == 0 || heard.seqs.last() != Some(&(EVENTS + 2)) {
        match session.next_event().await.unwrap() {
            SessionEvent::Started(task) => {
                assert_eq!(task.task_id, "a");
                heard.started += 1;
            }
            SessionEvent::Notification(received) => {
                let message: Value = serde_json::from_str(&received.text()).unwrap();
                let seq = message["params"]["seq"].as_u64().unwrap();
                heard.seqs.push(seq);
                if seq == CANCEL_AT {
                    session.control(ControlType::Cancel).await.unwrap();
                }
            }
            SessionEvent::Controlled { .. } => heard.controlled += 1,
            SessionEvent::Reconnecting { attempt, .. } => heard.outages += u32::from(attempt == 1),
            SessionEvent::Reconnected => heard.recoveries += 1,
            other @ (SessionEvent::NotStarted(_)
            | SessionEvent::AttachRefused { .. }
            | SessionEvent::Batch { .. }) => {
                panic!("{other:?}")
            }
        }
    }
    heard
}

fn check(world: &World, heard: &Heard, what: &dyn std::fmt::Debug) {
    assert_eq!(heard.seqs, (1..=EVENTS + 2).collect::<Vec<_>>(), "{what:?}");
    assert_eq!((heard.started, heard.controlled), (1, 1), "{what:?}");
    assert_eq!(heard.outages, heard.recoveries, "{what:?}");
    let (executes, cancels, _) = world.outcome();
    assert_eq!((executes, cancels), (1, 1), "{what:?}");
}

#[tokio::test]
async fn a_cut_at_any_boundary_of_the_conversation_loses_and_repeats_nothing() {
    for cut in [Cut::Drop, Cut::Close, Cut::Half] {
        let mut boundary = 0;
        loop {
            boundary += 1;
            let world = World::start([(boundary, cut)]).await;
            let heard = hear_all(&world).await;
            check(&world, &heard, &(boundary, cut));
            let (_, _, cuts_left) = world.outcome();
            assert_eq!(heard.outages == 0, cuts_left == 1, "{boundary} {cut:?}");
            if cuts_left == 1 {
                break;
            }
        }
        assert!(boundary > 15, "the conversation has only {boundary} boundaries");
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        // The default looks for a lib.rs above, of which an integration test has none.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_the_cuts_the_caller_sees_every_event_once_in_order(
        gaps in proptest::collection::vec(
            (1_u64..9, prop_oneof![Just(Cut::Drop), Just(Cut::Close), Just(Cut::Half)]), 0..24)
    ) {
        let mut at = 0;
        let cuts: Vec<(u64, Cut)> = gaps.iter().map(|(gap, cut)| { at += gap; (at, *cut) }).collect();
        Runtime::new().unwrap().block_on(async {
            let world = World::start(cuts.clone()).await;
            let heard = hear_all(&world).await;
            check(&world, &heard, &cuts);
        });
    }
}

type Peer = WebSocketStream<TcpStream>;

async fn say(peer: &mut Peer, message: Value) {
    peer.send(Message::text(message.to_string())).await.unwrap();
}

/// The next request with this method; those before are answered with their parameters.
async fn hear(peer: &mut Peer, method: &str) -> Value {
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

async fn greeted(listener: &TcpListener, session_id: &str, grace_s: f64, heartbeat_s: f64) -> Peer {
    let (socket, _) = listener.accept().await.unwrap();
    let mut peer = tokio_tungstenite::accept_async(socket).await.unwrap();
    let limits = json!({"message_bytes": 1000, "sessions": 1, "line_bytes": 1, "output_bytes": 1});
    let params = json!({"session_id": session_id, "version": "0", "capabilities": [],
        "resume_token": "t", "resume_grace_s": grace_s, "heartbeat_interval_s": heartbeat_s,
        "limits": limits});
    say(&mut peer, json!({"jsonrpc": "2.0", "method": "connected", "params": params})).await;
    peer
}

async fn start_task(peer: &mut Peer) {
    let id = hear(peer, "execute").await["id"].take();
    let result = json!({"status": "started", "pid": 5, "pgid": 5, "task_id": "a",
        "containment": "subreaper"});
    say(peer, json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
    let params = json!({"status": "started", "pid": 5, "pgid": 5, "exit_code": null, "error": null,
        "task_id": "a", "seq": 1});
    say(peer, json!({"jsonrpc": "2.0", "method": "process.started", "params": params})).await;
}

async fn close(mut peer: Peer, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "because".into() };
    peer.close(Some(frame)).await.unwrap();
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The error that ends a session on which a task was asked for.
async fn end_of(url: &str, settings: Reconnect) -> Error {
    let mut session = Session::open(url, None, settings).await.unwrap();
    session.execute(&task()).await.unwrap();
    loop {
        if let Err(error) = session.next_event().await {
            assert!(session.next_event().await.is_err(), "an end is an end");
            return error;
        }
    }
}

fn after_its_first() -> Unknown {
    Unknown::After(Position { task_id: "a".to_owned(), seq: 1 })
}

#[tokio::test]
async fn a_session_that_another_connection_took_over_is_over_and_says_what_is_unknown() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = greeted(&listener, "s", 60.0, 30.0).await;
        start_task(&mut peer).await;
        close(peer, 4001).await;
    });
    let error = end_of(&url, QUICK).await;
    assert!(
        matches!(&error, Error::TakenOver { unknown } if *unknown == after_its_first()),
        "{error}"
    );
    assert!(error.to_string().contains("`ccx logs a --since-seq 1`"), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_session_that_cannot_be_resumed_is_over_and_says_what_is_unknown() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = greeted(&listener, "s", 60.0, 30.0).await;
        start_task(&mut peer).await;
        drop(peer);
        let mut peer = greeted(&listener, "new", 60.0, 30.0).await;
        let request = hear(&mut peer, "session.resume").await;
        let after = json!({"task_id": "a", "seq": 1});
        assert_eq!(
            request["params"],
            json!({"session_id": "s", "resume_token": "t", "after": after})
        );
        let error = json!({"code": -32011, "message": "expired", "data": {}});
        say(&mut peer, json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).await;
        peer.next().await;
    });
    let error = end_of(&url, QUICK).await;
    assert!(
        matches!(&error, Error::SessionOver { error, unknown }
            if error.code == -32011 && *unknown == after_its_first()),
        "{error}"
    );
    server.await.unwrap();
}

#[tokio::test]
async fn a_lost_session_with_nothing_under_way_is_replaced_by_a_new_one() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        drop(greeted(&listener, "s", 60.0, 30.0).await);
        let mut peer = greeted(&listener, "new", 60.0, 30.0).await;
        let id = hear(&mut peer, "session.resume").await["id"].take();
        let error = json!({"code": -32010, "message": "unknown", "data": {}});
        say(&mut peer, json!({"jsonrpc": "2.0", "id": id, "error": error})).await;
        start_task(&mut peer).await;
        peer.next().await;
    });
    let mut session = Session::open(&url, None, QUICK).await.unwrap();
    while !matches!(session.next_event().await.unwrap(), SessionEvent::Reconnected) {}
    assert_eq!(session.id(), "new");
    session.execute(&task()).await.unwrap();
    assert!(matches!(session.next_event().await.unwrap(), SessionEvent::Started(_)));
    drop(session);
    server.await.unwrap();
}

#[tokio::test]
async fn without_a_grace_period_the_end_of_the_connection_is_the_end() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = greeted(&listener, "s", 0.0, 30.0).await;
        start_task(&mut peer).await;
        close(peer, 1012).await;
    });
    let error = end_of(&url, QUICK).await;
    assert!(matches!(error, Error::Closed { code: 1012, .. }), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn patience_ends_and_names_the_last_failure() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = greeted(&listener, "s", 60.0, 30.0).await;
        start_task(&mut peer).await;
        // With the listener goes the address.
        drop((peer, listener));
    });
    let error =
        end_of(&url, Reconnect { patience: Some(Duration::from_millis(30)), ..QUICK }).await;
    let Error::GivenUp { last, unknown, .. } = &error else { panic!("{error}") };
    assert!(matches!(**last, Error::Connect { .. }), "{last}");
    assert_eq!(*unknown, after_its_first());
    server.await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_taken_for_lost() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let silent = greeted(&listener, "s", 60.0, 0.01).await;
        let mut peer = greeted(&listener, "new", 60.0, 30.0).await;
        let id = hear(&mut peer, "session.resume").await["id"].take();
        let result = json!({"session_id": "s", "tasks": []});
        say(&mut peer, json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
        peer.next().await;
        drop(silent);
    });
    let mut session = Session::open(&url, None, QUICK).await.unwrap();
    let event = session.next_event().await.unwrap();
    assert!(
        matches!(
            &event,
            SessionEvent::Reconnecting { attempt: 1, error: Error::Silent { .. }, .. }
        ),
        "{event:?}"
    );
    assert!(matches!(session.next_event().await.unwrap(), SessionEvent::Reconnected));
    drop(session);
    server.await.unwrap();
}

#[tokio::test]
async fn a_gap_is_an_error_and_not_passed_over() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = greeted(&listener, "s", 60.0, 30.0).await;
        start_task(&mut peer).await;
        let params = json!({"lines": 1, "bytes": 1, "task_id": "a", "seq": 3});
        say(&mut peer, json!({"jsonrpc": "2.0", "method": "output.dropped", "params": params}))
            .await;
        peer.next().await;
    });
    let error = end_of(&url, QUICK).await;
    assert!(matches!(&error, Error::Protocol(what) if what.contains("event 2")), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_over_the_servers_limit_is_refused_and_the_session_goes_on() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = greeted(&listener, "s", 60.0, 30.0).await;
        start_task(&mut peer).await;
        peer.next().await;
    });
    let mut session = Session::open(&url, None, QUICK).await.unwrap();
    let long = Program::Argv { argv: vec!["x".repeat(2000)] };
    session.execute(&Execute { program: long, ..Execute::default() }).await.unwrap();
    let event = session.next_event().await.unwrap();
    assert!(matches!(&event, SessionEvent::NotStarted(error) if error.code == -32602), "{event:?}");
    session.execute(&task()).await.unwrap();
    assert!(matches!(session.next_event().await.unwrap(), SessionEvent::Started(_)));
    let SessionEvent::Notification(received) = session.next_event().await.unwrap() else {
        panic!("no notification")
    };
    assert!(matches!(received.notification, Notification::Started(_)));
    drop(session);
    server.await.unwrap();
}

fn summary(state: &str) -> Value {
    json!({"batch_id": "b", "name": null, "state": state, "outcome": null, "reason": null,
        "counts": {"tasks": 1, "waiting": 0, "running": 1, "retrying": 0, "succeeded": 0,
            "failed": 0, "skipped": 0},
        "jobs": 1, "cost_usd": 0.0, "input_tokens": 0, "output_tokens": 0, "retries": 0,
        "killed_leftovers": 0, "submitted_ms": 1, "started_ms": 1, "ended_ms": null,
        "waits": null, "running": []})
}

/// What a session hears of batches, up to the end of one.
async fn batch_events(session: &mut Session) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        match session.next_event().await.unwrap() {
            SessionEvent::Batch { outcome: Ok(BatchAnswer::Submitted(submitted)), .. } => {
                heard.push(format!("submitted {}", submitted.batch_id));
                session.ask_batch(BatchRequest::Attach(submitted.batch_id)).await.unwrap();
            }
            SessionEvent::Batch { outcome: Ok(BatchAnswer::Attached(_)), .. } => {
                heard.push("attached".to_owned());
            }
            SessionEvent::Notification(received) => {
                let is_end = matches!(received.notification, Notification::BatchCompleted(_));
                assert!(is_end, "{received:?}");
                return heard;
            }
            SessionEvent::Reconnecting { .. } => {}
            SessionEvent::Reconnected => heard.push("reconnected".to_owned()),
            other @ (SessionEvent::Batch { .. }
            | SessionEvent::Started(_)
            | SessionEvent::NotStarted(_)
            | SessionEvent::AttachRefused { .. }
            | SessionEvent::Controlled { .. }) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_batch_is_submitted_and_followed_through_outages_even_where_no_session_is_kept() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        // The answer to the submit is lost; the same plan comes again.
        let mut peer = greeted(&listener, "1", 0.0, 30.0).await;
        let first = hear(&mut peer, "batch.submit").await["params"].take();
        drop(peer);
        let mut peer = regreeted(&listener, "2").await;
        let second = hear(&mut peer, "batch.submit").await;
        assert_eq!(second["params"], first);
        assert_eq!(first["idempotency_key"], "k");
        let result = json!({"batch_id": "b", "is_new": false, "tasks": 1});
        say(&mut peer, json!({"jsonrpc": "2.0", "id": second["id"], "result": result})).await;
        let id = hear(&mut peer, "batch.attach").await["id"].take();
        say(&mut peer, json!({"jsonrpc": "2.0", "id": id, "result": summary("running")})).await;
        close(peer, 1012).await;
        let mut peer = regreeted(&listener, "3").await;
        let request = hear(&mut peer, "batch.attach").await;
        assert_eq!(request["params"], json!({"batch_id": "b"}));
        let id = &request["id"];
        say(&mut peer, json!({"jsonrpc": "2.0", "id": id, "result": summary("over")})).await;
        let params = json!({"batch": summary("over"), "rows": [], "rows_omitted": false});
        say(&mut peer, json!({"jsonrpc": "2.0", "method": "batch.completed", "params": params}))
            .await;
        peer.next().await;
    });
    let patient = Reconnect { patience: Some(Duration::from_secs(60)), ..QUICK };
    let mut session = Session::open(&url, None, patient).await.unwrap();
    let plan = json!({"idempotency_key": "k", "tasks": [{"command": "true"}]});
    let plan: Plan = serde_json::from_value(plan).unwrap();
    session.ask_batch(BatchRequest::Submit(Box::new(plan))).await.unwrap();
    assert_eq!(
        batch_events(&mut session).await,
        ["reconnected", "submitted b", "attached", "reconnected", "attached"]
    );
    drop(session);
    server.await.unwrap();
}

/// A new connection of a client whose session this server does not have.
async fn regreeted(listener: &TcpListener, session_id: &str) -> Peer {
    let mut peer = greeted(listener, session_id, 0.0, 30.0).await;
    let id = hear(&mut peer, "session.resume").await["id"].take();
    let error = json!({"code": -32010, "message": "unknown", "data": {}});
    say(&mut peer, json!({"jsonrpc": "2.0", "id": id, "error": error})).await;
    peer
}

#[tokio::test]
async fn a_plan_that_could_be_submitted_twice_is_not_submitted() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        greeted(&listener, "s", 60.0, 30.0).await.next().await;
    });
    let mut session = Session::open(&url, None, QUICK).await.unwrap();
    let plan: Plan = serde_json::from_value(json!({"tasks": [{"command": "true"}]})).unwrap();
    let refused = session.ask_batch(BatchRequest::Submit(Box::new(plan))).await;
    assert!(matches!(refused, Err(Error::Unrepeatable)), "{refused:?}");
    drop(session);
    server.await.unwrap();
}
