//! Part 1 of the wire contract to the letter, and what happens to those who do not keep it.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::collections::BTreeSet;

use cc_tests::{
    Client, Options, PATIENCE, Supervisor,
    client::Incoming,
    fifo::Fifo,
    frames::{self, frame},
    http,
};
use serde_json::{Value, json};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A raw text, and the next message.
fn ask(client: &mut Client, text: &str) -> Value {
    client.send_text(text);
    client.recv_json()
}

fn assert_alive(client: &mut Client) {
    assert!(client.call("ping", &json!({})).is_ok());
}

#[test]
fn the_first_line_on_stdout_says_where_it_listens() {
    let supervisor = Supervisor::start_default();
    assert_eq!(supervisor.first_line(), format!("listening on {}\n", supervisor.url()));
}

#[test]
fn the_server_speaks_first_with_what_old_clients_read_and_ours_beside_it() {
    let supervisor = Supervisor::start_default();
    for path in ["/ws/mcp", "/ws"] {
        let mut client = Client::open(supervisor.address(), path, &[]).unwrap();
        let connected = client.recv_json();
        assert_eq!(connected["jsonrpc"], "2.0");
        assert_eq!(connected["method"], "connected");
        assert!(connected.get("id").is_none());
        let params = &connected["params"];
        assert!(uuid::Uuid::parse_str(params["session_id"].as_str().unwrap()).is_ok());
        assert!(params["version"].is_string());
        let capabilities: Vec<&str> = params["capabilities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_str().unwrap())
            .collect();
        for capability in ["execute", "control", "stream", "argv", "prompt", "output_chunks"] {
            assert!(capabilities.contains(&capability), "{capabilities:?}");
        }
        assert!(params["heartbeat_interval_s"].is_number());
        assert_eq!(params["limits"]["message_bytes"], 16 * 1024 * 1024);
        assert_eq!(params["limits"]["sessions"], 100);
        assert_eq!(params["limits"]["line_bytes"], 8 * 1024 * 1024);
        assert_eq!(params["limits"]["output_bytes"], 10 * 1024 * 1024);
    }
}

#[test]
fn two_sessions_have_two_ids() {
    let supervisor = Supervisor::start_default();
    let (first, second) = (supervisor.connect(), supervisor.connect());
    assert_ne!(first.connected()["session_id"], second.connected()["session_id"]);
}

#[test]
fn execute_is_answered_and_notified_in_the_shapes_that_clients_depend_on() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let text = json!({"jsonrpc": "2.0", "method": "execute", "id": 1,
        "params": {"command": "echo out; echo err >&2; exit 3", "timeout": 60}});
    let response = ask(&mut client, &text.to_string());
    assert_eq!(keys(&response), ["id", "jsonrpc", "result"].into());
    assert_eq!(response["id"], 1);
    let result = response["result"].clone();
    assert_eq!(result["status"], "started");

    let transcript = client.collect(result.clone());
    let started = &transcript.events[0]["params"];
    let (pid, pgid) = (&result["pid"], &result["pgid"]);
    let old = json!({"status": "started", "pid": pid, "pgid": pgid, "exit_code": null, "error": null,
        "task_id": result["task_id"], "seq": 1});
    assert_eq!(*started, old);

    for (stream, data) in [("stdout", "out\n"), ("stderr", "err\n")] {
        let output = transcript.outputs().find(|output| output["type"] == stream).unwrap();
        let old = json!({"type": stream, "data": data, "truncated": false, "chunk_index": null,
            "total_chunks": null, "task_id": result["task_id"], "seq": output["seq"]});
        assert_eq!(*output, old);
    }

    let completed = transcript.completed();
    assert_eq!(completed["status"], "failed");
    assert_eq!((&completed["pid"], &completed["pgid"]), (pid, pgid));
    assert_eq!(completed["exit_code"], 3);
    assert_eq!(completed["error"], json!(null));
    assert!(completed["execution_time"].as_f64().unwrap() >= 0.0);
    let ours = [
        "reason",
        "verdict",
        "signal",
        "duration_ms",
        "cpu_ms",
        "max_rss_bytes",
        "output",
        "killed_leftovers",
        "unkillable",
        "task_id",
        "seq",
    ];
    let olds = ["status", "pid", "pgid", "exit_code", "error", "execution_time"];
    assert_eq!(keys(completed), ours.into_iter().chain(olds).collect());
    let counts = ["lines", "bytes", "dropped_lines", "dropped_bytes", "truncated_lines"];
    assert_eq!(keys(&completed["output"]), counts.into());
    assert!(completed["max_rss_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn exit_code_zero_is_completed_and_everything_else_failed() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("true").completed()["status"], "completed");
    assert_eq!(client.run_shell("false").completed()["status"], "failed");
}

#[test]
fn control_is_answered_and_notified_in_the_shapes_that_clients_depend_on() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"command": "echo ready; sleep 100"})).unwrap();
    let mut events = client.recv_until_output("ready");
    for (kind, done) in [("PAUSE", "paused"), ("RESUME", "resumed"), ("CANCEL", "canceled")] {
        assert_eq!(client.control(kind).unwrap(), json!({ "status": done }));
        events.extend(client.recv_until_method(&format!("process.{done}")));
        let params = &events.last().unwrap()["params"];
        let expected = json!({"status": done, "pid": answer["pid"], "pgid": answer["pgid"],
            "exit_code": null, "error": null, "task_id": answer["task_id"], "seq": events.len()});
        assert_eq!(*params, expected);
    }
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.completed()["reason"], "canceled");
}

#[test]
fn a_client_may_send_execute_at_once_and_skip_what_the_server_says_first() {
    let supervisor = Supervisor::start_default();
    let mut client = Client::open(supervisor.address(), "/ws/mcp", &[]).unwrap();
    let id = client.send_request("execute", &json!({"command": "echo at once"}));
    assert_eq!(client.recv_json()["method"], "connected");
    let response = client.recv_json();
    assert_eq!(response["id"], id);
    assert_eq!(client.collect(response["result"].clone()).stdout(), "at once\n");
}

#[test]
fn what_old_clients_send_beside_the_parameters_does_no_harm_and_is_listed() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for name in ["path", "model", "temperature", "session_id"] {
        let transcript = client.run_to_end(&json!({"command": "echo fine", name: "x"}));
        assert_eq!(transcript.stdout(), "fine\n");
        assert_eq!(transcript.answer["ignored_params"], json!([name]));
    }
    assert_eq!(client.run_to_end(&json!({"command": "echo fine", "id": 7})).stdout(), "fine\n");
}

#[test]
fn a_misspelt_limit_is_an_error_that_suggests_the_right_name() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let error = client.execute(&json!({"argv": ["true"], "idle_timout": 5})).unwrap_err();
    assert_eq!(error["code"], -32602);
    assert_eq!(error["data"]["field"], "idle_timout");
    assert_eq!(error["data"]["suggestion"], "idle_timeout");
}

#[test]
fn wrong_parameters_are_refused_by_name_and_nothing_is_started() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for (params, field) in [
        (json!({}), "command"),
        (json!({"command": ""}), "command"),
        (json!({"command": ["ls"]}), "command"),
        (json!({"command": "a\u{0}b"}), "command"),
        (json!({"argv": []}), "argv"),
        (json!({"argv": "ls"}), "argv"),
        (json!({"argv": [1]}), "argv"),
        (json!({"prompt": 5}), "prompt"),
        (json!({"command": "true", "timeout": "soon"}), "timeout"),
        (json!({"command": "true", "timeout": -1}), "timeout"),
        (json!({"command": "true", "timeout": 1e300}), "timeout"),
        (json!({"argv": ["true"], "env": ["A=b"]}), "env"),
        (json!({"argv": ["true"], "cwd": 5}), "cwd"),
        (json!({"argv": ["true"], "max_output_bytes": -5}), "max_output_bytes"),
        (json!({"argv": ["true"], "max_turns": 5}), "max_turns"),
    ] {
        let error = client.execute(&params).unwrap_err();
        assert_eq!(error["code"], -32602, "{params}: {error}");
        assert_eq!(error["data"]["field"], field, "{params}: {error}");
        assert_eq!(error["data"]["kind"], "invalid_params");
        assert_eq!(error["data"]["retryable"], false);
    }
    assert_eq!(client.run_shell("echo still there").stdout(), "still there\n");
}

#[test]
fn ping_pong_and_hook_status_are_understood() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.call("hook_status", &json!({})).unwrap()["enabled"], false);
    // A notification: no answer; the answer to the ping is the next message.
    client.send_text(r#"{"jsonrpc":"2.0","method":"pong","params":{}}"#);
    let answer = ask(&mut client, r#"{"jsonrpc":"2.0","method":"ping","id":"p"}"#);
    assert_eq!(answer["id"], "p");
    assert!(answer.get("result").is_some(), "{answer}");
}

#[test]
fn an_unknown_method_is_refused_with_the_name_that_was_meant() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let error = client.call("exceute", &json!({"command": "true"})).unwrap_err();
    assert_eq!(error["code"], -32601);
    assert!(error.to_string().contains("execute"), "{error}");
    assert_eq!(client.call("no.such.method.at.all", &json!({})).unwrap_err()["code"], -32601);
}

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
        let answer = ask(&mut client, text);
        assert_eq!(answer["jsonrpc"], "2.0");
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
        assert!(answer["error"]["message"].is_string());
        assert_eq!(answer.get("id"), Some(&id), "{text}: {answer}");
        assert!(answer.get("result").is_none());
    }
    assert_alive(&mut client);
}

#[test]
fn a_batch_is_answered_by_one_array_without_entries_for_notifications() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let answer = ask(&mut client, "[1,2,3]");
    let codes: Vec<&Value> =
        answer.as_array().unwrap().iter().map(|a| &a["error"]["code"]).collect();
    assert_eq!(codes, [-32600, -32600, -32600]);
    assert_eq!(ask(&mut client, "[1]").as_array().unwrap().len(), 1);

    let batch = json!([
        {"jsonrpc": "2.0", "method": "ping", "id": "1"},
        {"jsonrpc": "2.0", "method": "pong"},
        {"jsonrpc": "2.0", "method": "hook_status", "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "control", "params": {"type": "PAUSE"}, "id": 9},
    ]);
    let answer = ask(&mut client, &batch.to_string());
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
    let answer = ask(&mut client, r#"{"jsonrpc":"2.0","method":"ping","id":77}"#);
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
    let answer = ask(&mut client, &batch.to_string());
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
        assert_eq!(ask(&mut client, &request.to_string())["id"], id);
    }
}

#[test]
fn nesting_without_end_is_a_parse_error_and_harms_nobody() {
    let supervisor = Supervisor::start_default();
    let (mut client, mut other) = (supervisor.connect(), supervisor.connect());
    for text in
        ["[".repeat(1_000_000), r#"{"a":"#.repeat(300_000), "[".repeat(500) + &"]".repeat(500)]
    {
        assert_eq!(ask(&mut client, &text)["error"]["code"], -32700);
    }
    assert_alive(&mut client);
    assert_alive(&mut other);
}

#[test]
fn a_message_of_almost_the_limit_is_read() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let padding = "x".repeat(16 * 1024 * 1024 - 100);
    let text =
        format!(r#"{{"jsonrpc":"2.0","method":"ping","id":1,"params":{{"p":"{padding}"}}}}"#);
    assert!(text.len() <= 16 * 1024 * 1024);
    assert_eq!(ask(&mut client, &text)["id"], 1);
}

/// The other connections, and a task that runs on one of them, do not notice what a bad client does.
fn with_a_witness(supervisor: &Supervisor, bad: impl FnOnce(&mut Client)) {
    let mut witness = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}; echo unharmed", fifo.path());
    let answer = witness.execute(&json!({ "command": command })).unwrap();
    let events = witness.recv_until_output("ready");
    bad(&mut supervisor.connect());
    fifo.release();
    let transcript = witness.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("unharmed\n"));
}

#[test]
fn a_message_over_the_limit_closes_the_connection_with_1009() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-message-bytes", 10_000));
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frame(frames::TEXT, &vec![b' '; 10_001])).unwrap();
        assert_eq!(client.recv_close().0, 1009);
    });
    // The header alone says it: not a byte of the rest is waited for.
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frames::header(frames::TEXT, 1 << 40)).unwrap();
        assert_eq!(client.recv_close().0, 1009);
    });
    // Many small frames of one message.
    with_a_witness(&supervisor, |client| {
        let mut first = frame(frames::TEXT, &[b' '; 4000]);
        first[0] &= 0x7f;
        let mut more = frame(0, &[b' '; 4000]);
        more[0] &= 0x7f;
        for bytes in [&first, &more, &more, &more] {
            // The server may have closed after any of them.
            drop(client.send_bytes(bytes));
        }
        assert_eq!(client.recv_close().0, 1009);
    });
}

#[test]
fn a_binary_message_closes_the_connection_with_1003() {
    let supervisor = Supervisor::start_default();
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frame(frames::BINARY, b"{}")).unwrap();
        assert_eq!(client.recv_close().0, 1003);
    });
}

#[test]
fn a_text_that_is_no_utf8_closes_the_connection_with_1007() {
    let supervisor = Supervisor::start_default();
    with_a_witness(&supervisor, |client| {
        client.send_bytes(&frame(frames::TEXT, b"{\"a\":\"\xff\xfe\"}")).unwrap();
        assert_eq!(client.recv_close().0, 1007);
    });
}

#[test]
fn frames_that_break_the_protocol_end_their_connection_alone() {
    let supervisor = Supervisor::start_default();
    // A reserved opcode, a reserved bit, an unmasked frame, a fragmented ping, a continuation of nothing.
    let mut fragmented_ping = frame(9, b"x");
    fragmented_ping[0] &= 0x7f;
    let mut reserved_bit = frame(frames::TEXT, b"{}");
    reserved_bit[0] |= 0x40;
    for bytes in
        [frame(3, b"x"), reserved_bit, vec![0x81, 2, b'{', b'}'], fragmented_ping, frame(0, b"x")]
    {
        with_a_witness(&supervisor, |client| {
            client.send_bytes(&bytes).unwrap();
            while let Incoming::Json(_) | Incoming::Closed { .. } = client.recv() {}
        });
    }
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_frame_harms_nobody() {
    let supervisor = Supervisor::start_default();
    with_a_witness(&supervisor, |client| {
        let half = &frame(frames::TEXT, &[b' '; 1000])[..500];
        client.send_bytes(half).unwrap();
    });
}

#[test]
fn what_the_handshake_lacks_is_refused_before_the_upgrade() {
    let supervisor = Supervisor::start_default();
    let address = supervisor.address();
    let connection = "Connection: Upgrade";
    let upgrade = "Upgrade: websocket";
    let version = "Sec-WebSocket-Version: 13";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (headers, status) in [
        (vec![connection, upgrade, "Sec-WebSocket-Version: 8", key], 426),
        (vec![connection, upgrade, key], 426),
        (vec![connection, upgrade, version], 400),
        (vec![version, key], 426),
        (vec![connection, upgrade, version, key], 101),
    ] {
        assert_eq!(http::head(address, "/ws/mcp", &headers).status, status, "{headers:?}");
    }
    assert_eq!(http::upgrade(address, "/no/such/path", &[]).status, 404);
}

#[test]
fn the_accept_key_is_that_of_the_standard() {
    let supervisor = Supervisor::start_default();
    // The key of this handshake, and its answer, are the example of RFC 6455.
    let answer = http::upgrade(supervisor.address(), "/ws", &[]);
    assert!(answer.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{}", answer.head);
}

#[test]
fn probes_get_health_on_the_same_port() {
    let supervisor = Supervisor::start_default();
    for path in ["/livez", "/readyz", "/healthz"] {
        let answer = http::get(supervisor.address(), path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["status"], "ok", "{path}");
    }
    let client = supervisor.connect();
    let answer = http::get(supervisor.address(), "/health", &[]);
    let health: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "cc-executor-websocket");
    assert_eq!(health["version"], client.connected()["version"]);
    assert_eq!(health["active_sessions"], 1);
    assert_eq!(health["max_sessions"], 100);
    assert!(health["uptime_seconds"].is_number());
    assert_eq!(http::get(supervisor.address(), "/metrics", &[]).status, 200);
    assert_eq!(http::get(supervisor.address(), "/", &[]).status, 404);
}

#[test]
fn an_empty_message_and_a_close_are_answered_politely() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(ask(&mut client, "")["error"]["code"], -32700);
    client.close();
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
