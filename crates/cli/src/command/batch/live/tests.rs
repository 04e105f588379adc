//! A batch as it is seen through a connection that breaks, against a server that says what a test says.

use cc_client::Reconnect;
use cc_protocol::{
    EndReason, Verdict,
    batch::{BatchAttempt, BatchCounts, BatchOutcome, BatchRunning, BatchWait},
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::*;
use crate::fixtures::{row, summary};

struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn greet(listener: &TcpListener) -> Self {
        let (socket, _) = listener.accept().await.unwrap();
        let mut peer = Self(tokio_tungstenite::accept_async(socket).await.unwrap());
        let limits =
            json!({"message_bytes": 100_000, "sessions": 1, "line_bytes": 1, "output_bytes": 1});
        let params = json!({"session_id": "s", "version": "0", "capabilities": [],
            "resume_token": "", "resume_grace_s": 0.0, "heartbeat_interval_s": 30.0,
            "limits": limits});
        peer.tell("connected", params).await;
        peer
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn tell(&mut self, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
    }

    /// Answers the next request with this method, and those that only configure.
    async fn answer(&mut self, method: &str, result: Value) -> Value {
        loop {
            let Message::Text(text) = self.0.next().await.unwrap().unwrap() else { continue };
            let request: Value = serde_json::from_str(&text).unwrap();
            let is_it = request["method"] == method;
            let result = if is_it { result.clone() } else { request["params"].clone() };
            assert!(is_it || request["method"] == "session.configure", "{request}");
            self.say(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
            if is_it {
                return request["params"].clone();
            }
        }
    }
}

fn page(rows: &[BatchRow], has_more: bool) -> Value {
    json!({ "rows": rows, "has_more": has_more })
}

fn over(index: u64) -> BatchRow {
    let attempt = BatchAttempt {
        task_id: format!("t-{index}"),
        attempt: 1,
        started_ms: 1_000,
        ended_ms: Some(2_000),
        verdict: Some(Verdict::Succeeded),
        reason: Some(EndReason::Exit),
        exit_code: Some(0),
        output_bytes: Some(14),
        class: None,
        wait_until_ms: None,
        stdout_tail: None,
        stderr_tail: None,
    };
    BatchRow {
        state: RowState::Over,
        verdict: Some(Verdict::Succeeded),
        reason: Some(EndReason::Exit),
        exit_code: Some(0),
        result: Some("a long answer".to_owned()),
        attempts: vec![attempt],
        ..row(index)
    }
}

fn skipped(index: u64) -> BatchRow {
    BatchRow { state: RowState::Skipped, why: Some("no need".to_owned()), ..row(index) }
}

fn ended() -> BatchSummary {
    let counts = BatchCounts { tasks: 4, succeeded: 3, skipped: 1, ..BatchCounts::default() };
    let outcome = Some(BatchOutcome::Stopped);
    BatchSummary { state: BatchState::Over, outcome, counts, ..summary("b") }
}

/// Keeps what is recorded.
#[derive(Default)]
struct Heard(Vec<String>);

impl Recorder for Heard {
    fn wants_whole_results(&self) -> bool {
        true
    }

    fn ended(&mut self, task: &Task, row: &BatchRow) {
        self.0.push(format!("{} {}", task.number, row.result.as_deref().unwrap_or_default()));
    }

    fn skipped(&mut self, task: &Task, why: &str) {
        self.0.push(format!("{} skipped: {why}", task.number));
    }

    fn stands(&mut self, _: &BatchSummary) {}
}

async fn follow(url: &str, ownership: Ownership, shows_output: bool) -> (Vec<String>, Seen) {
    let settings = Reconnect {
        patience: Some(std::time::Duration::from_secs(60)),
        delay_least: std::time::Duration::from_millis(1),
        ..Reconnect::default()
    };
    let mut session = Session::open(url, None, settings).await.unwrap();
    let tasks: Vec<Task> = (0..4).map(|index| Task::of_row(&row(index))).collect();
    let mut progress = Progress::new(tasks.len(), true);
    let mut heard = Heard::default();
    let mut interrupts = Interrupts::catch().unwrap();
    let live = Live::new(ownership, "b", &tasks, shows_output, &mut progress, &mut heard);
    let seen = live.follow(&mut session, &mut interrupts).await;
    (heard.0, seen)
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn each_end_is_recorded_once_whatever_came_before_in_pages_or_twice() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let wait = BatchWait { until_ms: u64::MAX / 2, reason: "usage limit".to_owned() };
        let waiting = BatchSummary { waits: Some(wait), ..summary("b") };
        let mut peer = Peer::greet(&listener).await;
        peer.answer("batch.attach", json!(waiting)).await;
        let params = peer.answer("batch.rows", page(&[over(0), row(1)], true)).await;
        assert_eq!(params["after_index"], Value::Null);
        let params = peer.answer("batch.rows", page(&[row(2), row(3)], false)).await;
        assert_eq!(params["after_index"], 1);
        let progress = json!({"batch": summary("b"), "rows": [over(1), over(0)]});
        peer.tell("batch.progress", progress).await;
        // What happens while there is no connection is in the rows after it.
        drop(peer);
        let mut peer = Peer::greet(&listener).await;
        peer.answer("batch.attach", json!(summary("b"))).await;
        peer.answer("batch.rows", page(&[over(0), over(1), over(2), row(3)], false)).await;
        let last = json!({"batch": ended(), "rows": [], "rows_omitted": true});
        peer.tell("batch.completed", last).await;
        peer.answer("batch.rows", page(&[over(0), over(1), over(2), skipped(3)], false)).await;
    });
    let (heard, seen) = follow(&url, Ownership::Started, false).await;
    assert_eq!(
        heard,
        ["1 a long answer", "2 a long answer", "3 a long answer", "4 skipped: no need"]
    );
    assert!(seen.stop.is_none(), "{:?}", seen.stop);
    assert_eq!(seen.summary.unwrap().outcome, Some(BatchOutcome::Stopped));
    assert!(seen.rows.values().all(|row| row.result.is_none()), "answers are not kept");
    server.await.unwrap();
}

fn cut(index: u64) -> BatchRow {
    BatchRow { result: Some("a lo".to_owned()), result_truncated: true, ..over(index) }
}

#[tokio::test]
async fn a_result_that_was_cut_is_whole_when_its_task_is_recorded_and_the_order_is_that_of_the_ends()
 {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = Peer::greet(&listener).await;
        peer.answer("batch.attach", json!(summary("b"))).await;
        peer.answer("batch.rows", page(&[], false)).await;
        for rows in [[cut(2), over(3)], [cut(2), cut(0)]] {
            peer.tell("batch.progress", json!({"batch": summary("b"), "rows": rows})).await;
        }
        let last = json!({"batch": ended(), "rows": [cut(0), skipped(1)], "rows_omitted": false});
        peer.tell("batch.completed", last).await;
        // It is asked for again where the answer was lost.
        let mut asked = Value::Null;
        while asked["method"] != "batch.result" {
            let Message::Text(text) = peer.0.next().await.unwrap().unwrap() else { continue };
            asked = serde_json::from_str(&text).unwrap();
        }
        assert_eq!(asked["params"], json!({"batch_id": "b", "index": 2}));
        drop(peer);
        let mut peer = Peer::greet(&listener).await;
        let whole = json!({"result": "a long answer", "truncated": false, "task_id": "t-2"});
        peer.answer("batch.result", whole).await;
        // One that is not there any more is recorded with its beginning.
        loop {
            let Message::Text(text) = peer.0.next().await.unwrap().unwrap() else { continue };
            let request: Value = serde_json::from_str(&text).unwrap();
            if request["method"] == "batch.result" {
                assert_eq!(request["params"]["index"], 0);
                let error = json!({"code": -32015, "message": "no such batch", "data": {}});
                return peer
                    .say(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
                    .await;
            }
        }
    });
    let (heard, seen) = follow(&url, Ownership::Started, false).await;
    assert_eq!(heard, ["3 a long answer", "4 a long answer", "1 a lo", "2 skipped: no need"]);
    assert!(seen.stop.is_none(), "{:?}", seen.stop);
    server.await.unwrap();
}

#[tokio::test]
async fn a_batch_that_the_supervisor_does_not_know_is_no_batch_without_tasks() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = Peer::greet(&listener).await;
        loop {
            let Message::Text(text) = peer.0.next().await.unwrap().unwrap() else { continue };
            let request: Value = serde_json::from_str(&text).unwrap();
            if request["method"] == "batch.attach" {
                let error = json!({"code": -32015, "message": "there is no batch b", "data": {}});
                return peer
                    .say(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
                    .await;
            }
        }
    });
    let (heard, seen) = follow(&url, Ownership::Viewed, false).await;
    assert!(heard.is_empty());
    let Some(Stop::Broken(failure)) = seen.stop else { panic!("{:?}", seen.stop) };
    assert_eq!(failure.to_string(), "there is no batch b");
    server.await.unwrap();
}

#[tokio::test]
async fn the_output_of_a_task_is_asked_for_once_however_long_the_batch_counts_it_as_running() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let running = BatchRunning {
            index: 0,
            name: None,
            label: None,
            task_id: "t-0".to_owned(),
            attempt: 1,
            started_ms: 1_000,
        };
        let running = BatchSummary { running: vec![running], ..summary("b") };
        let mut peer = Peer::greet(&listener).await;
        peer.answer("batch.attach", json!(running)).await;
        peer.answer("batch.rows", page(&[row(0)], false)).await;
        let params = peer.answer("task.attach", json!({})).await;
        assert_eq!(params, json!({"task_id": "t-0", "after_seq": 0}));
        let completed = crate::fixtures::completed(Verdict::Succeeded, 0);
        let mut completed = json!(completed);
        completed["task_id"] = "t-0".into();
        completed["seq"] = 1.into();
        peer.tell("process.completed", completed).await;
        peer.tell("batch.progress", json!({"batch": running, "rows": []})).await;
        let last = json!({"batch": ended(), "rows": [over(0)], "rows_omitted": false});
        peer.tell("batch.completed", last).await;
        while let Some(Ok(message)) = peer.0.next().await {
            assert!(!message.to_string().contains("task.attach"), "{message}");
        }
    });
    let (heard, seen) = follow(&url, Ownership::Viewed, true).await;
    assert_eq!(heard, ["1 a long answer"]);
    assert!(seen.stop.is_none(), "{:?}", seen.stop);
    server.await.unwrap();
}
