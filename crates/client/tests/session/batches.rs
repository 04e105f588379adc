//! What a session asks about batches, through outages.

use std::time::Duration;

use cc_client::{BatchAnswer, BatchRequest, Error, Reconnect, Session, SessionEvent};
use cc_protocol::notification::Notification;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    QUICK,
    scripted::{Peer, close, greeted, hear, listen, say},
};

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
    session.ask_batch(BatchRequest::submit(&plan).unwrap()).await.unwrap();
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
    let plan = json!({"tasks": [{"command": "true"}]});
    let refused = session.ask_batch(BatchRequest::submit(&plan).unwrap()).await;
    assert!(matches!(refused, Err(Error::Unrepeatable)), "{refused:?}");
    drop(session);
    server.await.unwrap();
}
