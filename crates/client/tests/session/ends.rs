//! How a session ends, and what its caller then does not know.

use std::time::Duration;

use cc_client::{Error, Reconnect, Session, SessionEvent, Unknown};
use cc_protocol::{
    execute::{Execute, Program},
    notification::{Notification, Position},
};
use futures_util::StreamExt as _;
use serde_json::json;

use crate::{
    QUICK,
    scripted::{close, greeted, hear, listen, say, start_task},
    task,
};

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
