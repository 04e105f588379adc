//! JSON-RPC 2.0: batches of messages, notifications, ids, and texts that are no requests.

use cc_tests::{PATIENCE, Supervisor};
use serde_json::{Value, json};

/// The examples of the JSON-RPC 2.0 specification, with our methods: text, answers (code or result).
#[test]
fn the_examples_of_the_json_rpc_specification_get_its_answers() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for (text, code, id) in [
        (r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#, -32601, json!("1")),
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, -32700, json!(null)),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, -32600, json!(null)),
        (
            r#"[{"jsonrpc": "2.0", "method": "ping", "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
            -32700,
            json!(null),
        ),
        ("[]", -32600, json!(null)),
        ("", -32700, json!(null)),
        ("1", -32600, json!(null)),
        ("null", -32600, json!(null)),
        ("\"text\"", -32600, json!(null)),
        (r#"{"method":"ping","id":4}"#, -32600, json!(4)),
        (r#"{"jsonrpc":"1.0","method":"ping","id":4}"#, -32600, json!(4)),
        (r#"{"jsonrpc":"2.0","id":4}"#, -32600, json!(4)),
        (r#"{"jsonrpc":"2.0","method":"ping","id":{}}"#, -32600, json!(null)),
        (r#"{"jsonrpc":"2.0","method":"execute","params":["ls"],"id":4}"#, -32602, json!(4)),
        (r#"{"jsonrpc":"2.0","method":"execute","params":5,"id":4}"#, -32600, json!(4)),
    ] {
        let answer = client.ask(text);
        assert_eq!(answer["jsonrpc"], "2.0");
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
        assert!(answer["error"]["message"].is_string());
        assert_eq!(answer.get("id"), Some(&id), "{text}: {answer}");
        assert!(answer.get("result").is_none());
    }
    client.assert_alive();
}

#[test]
fn a_batch_is_answered_by_one_array_without_entries_for_notifications() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let answer = client.ask("[1,2,3]");
    let codes: Vec<&Value> =
        answer.as_array().unwrap().iter().map(|a| &a["error"]["code"]).collect();
    assert_eq!(codes, [-32600, -32600, -32600]);
    assert_eq!(client.ask("[1]").as_array().unwrap().len(), 1);

    let batch = json!([
        {"jsonrpc": "2.0", "method": "ping", "id": "1"},
        {"jsonrpc": "2.0", "method": "pong"},
        {"jsonrpc": "2.0", "method": "hook_status", "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "control", "params": {"type": "PAUSE"}, "id": 9},
    ]);
    let answer = client.ask(&batch.to_string());
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 5, "{answer}");
    let of = |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert!(of(json!("1")).get("result").is_some());
    assert_eq!(of(json!("2"))["result"]["enabled"], false);
    assert_eq!(of(json!(null))["error"]["code"], -32600);
    assert_eq!(of(json!("5"))["error"]["code"], -32601);
    assert_eq!(of(json!(9))["error"]["code"], -32002);
}

#[test]
fn notifications_get_no_answer_of_any_kind_also_in_a_batch() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    client.send_text(r#"[{"jsonrpc":"2.0","method":"pong"},{"jsonrpc":"2.0","method":"foobar"}]"#);
    client.send_text(r#"{"jsonrpc":"2.0","method":"foobar"}"#);
    client.send_text(r#"{"jsonrpc":"2.0","method":"control","params":{"type":"NONSENSE"}}"#);
    let answer = client.ask(r#"{"jsonrpc":"2.0","method":"ping","id":77}"#);
    assert_eq!(answer["id"], 77);
}

#[test]
fn an_execute_in_a_batch_is_answered_before_the_task_speaks() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let batch = json!([
        {"jsonrpc": "2.0", "method": "execute", "params": {"command": "echo in a batch"}, "id": 1},
        {"jsonrpc": "2.0", "method": "ping", "id": 2},
    ]);
    let answer = client.ask(&batch.to_string());
    let result = answer.as_array().unwrap().iter().find(|answer| answer["id"] == 1).unwrap();
    let transcript = client.collect(result["result"].clone());
    assert_eq!(transcript.stdout(), "in a batch\n");
}

#[test]
fn ids_come_back_as_they_were_sent() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for id in [json!(0), json!(-1), json!(1.5), json!("x"), json!(""), json!(null), json!(u64::MAX)]
    {
        let request = json!({"jsonrpc": "2.0", "method": "ping", "id": id});
        assert_eq!(client.ask(&request.to_string())["id"], id);
    }
}

#[test]
fn nesting_without_end_is_a_parse_error_and_harms_nobody() {
    let supervisor = Supervisor::start_default();
    let (mut client, mut other) = (supervisor.connect(), supervisor.connect());
    for text in
        ["[".repeat(1_000_000), r#"{"a":"#.repeat(300_000), "[".repeat(500) + &"]".repeat(500)]
    {
        assert_eq!(client.ask(&text)["error"]["code"], -32700);
    }
    client.assert_alive();
    other.assert_alive();
}

#[test]
fn a_message_of_almost_the_limit_is_read() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let padding = "x".repeat(16 * 1024 * 1024 - 100);
    let text =
        format!(r#"{{"jsonrpc":"2.0","method":"ping","id":1,"params":{{"p":"{padding}"}}}}"#);
    assert!(text.len() <= 16 * 1024 * 1024);
    assert_eq!(client.ask(&text)["id"], 1);
}

#[test]
fn a_hundred_requests_in_flight_are_answered_in_order() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    client.set_patience(PATIENCE);
    let ids: Vec<u64> = (0..100).map(|_| client.send_request("ping", &json!({}))).collect();
    for id in ids {
        assert_eq!(client.recv_json()["id"], id);
    }
}
