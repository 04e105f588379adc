//! Part 1 of the wire contract to the letter, and what happens to those who do not keep it.

use std::collections::BTreeSet;

use cc_tests::{Client, Options, Supervisor};
use serde_json::{Value, json};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
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
    let response = client.ask(&text.to_string());
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
    let answer = client.ask(r#"{"jsonrpc":"2.0","method":"ping","id":"p"}"#);
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
