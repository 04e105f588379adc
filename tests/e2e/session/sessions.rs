//! Who is let in, who is turned away, who is dropped, and what becomes of their tasks.

use std::io::{Read, Write};

use cc_tests::{
    Client, Options, Supervisor, binaries::misbehave_argv, cgroup::Containment, client::Incoming,
    http, processes, unique_tag, with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    a_disconnect_ends_the_task_and_its_whole_tree,
    a_polite_close_ends_the_task_and_its_whole_tree,
    a_client_that_vanishes_while_its_task_floods_it_leaves_nothing,
);

/// A supervisor that ends a session with its connection, as the predecessor did. What a session that
/// waits for its client does is in `resume`.
fn without_grace(options: Options) -> Supervisor {
    Supervisor::start(&options.flag("--resume-grace", 0).flag("--grace", 1))
}

/// Connects, and reads what the server says first.
fn arrive(supervisor: &Supervisor) -> (Client, Value) {
    let mut client = Client::open(supervisor.address(), "/ws/mcp", &[]).unwrap();
    let first = client.recv_json();
    (client, first)
}

/// The refusal of the contract: an error without an id, then close code 1008.
fn assert_refused(mut client: Client, first: &Value) {
    assert_eq!(first["jsonrpc"], "2.0");
    assert_eq!(first["error"]["code"], -32003);
    assert_eq!(first["error"]["message"], "Session limit exceeded");
    assert!(first.get("id").is_none(), "{first}");
    assert!(first.get("method").is_none(), "{first}");
    let (code, _reason, between) = client.recv_close();
    assert_eq!(code, 1008);
    assert!(between.is_empty());
}

#[test]
fn of_105_connections_exactly_100_are_accepted_and_5_get_the_error_of_the_contract() {
    let supervisor = Supervisor::start_default();
    // All connect before any is read: the limit is kept under a crowd, too.
    let mut crowd: Vec<Client> =
        (0..105).map(|_| Client::open(supervisor.address(), "/ws/mcp", &[]).unwrap()).collect();
    let firsts: Vec<Value> = crowd.iter_mut().map(Client::recv_json).collect();
    let mut accepted = Vec::new();
    let mut refused = 0;
    for (client, first) in crowd.into_iter().zip(firsts) {
        if first["method"] == "connected" {
            accepted.push(client);
        } else {
            assert_refused(client, &first);
            refused += 1;
        }
    }
    assert_eq!((accepted.len(), refused), (100, 5));
    // It cost the other clients nothing.
    for client in &mut accepted {
        assert!(client.call("ping", &json!({})).is_ok());
    }
    assert_eq!(accepted[99].run_shell("echo works").stdout(), "works\n");
}

#[test]
fn a_closed_session_makes_room_at_once() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 2));
    let _first = supervisor.connect();
    let mut second = supervisor.connect();
    for _ in 0..20 {
        let (client, first) = arrive(&supervisor);
        assert_refused(client, &first);
        second.close();
        second = supervisor.connect();
    }
}

#[test]
fn a_session_makes_room_also_when_its_task_is_hard_to_kill() {
    let supervisor = without_grace(Options::new().flag("--max-sessions", 1));
    let tag = unique_tag("deaf");
    let mut client = supervisor.connect();
    client.execute(&json!({"argv": misbehave_argv(&["ignore-term", &tag])})).unwrap();
    client.recv_until_output("deaf");
    client.close();
    let mut next = supervisor.connect();
    assert_eq!(next.run_shell("echo room").stdout(), "room\n");
    processes::wait_until_gone(&tag);
}

#[test]
fn the_session_limit_comes_from_the_predecessors_variable() {
    let supervisor = Supervisor::start(&Options::new().env("MAX_SESSIONS", 1));
    let _only = supervisor.connect();
    let (client, first) = arrive(&supervisor);
    assert_refused(client, &first);
}

fn a_disconnect_ends_the_task_and_its_whole_tree(containment: &Containment) {
    let supervisor = without_grace(containment.options());
    let mut other = supervisor.connect();
    let mut client = supervisor.connect();
    let tag = unique_tag("left");
    let argv = misbehave_argv(&["setsid-sleepers", "10", "stay", &tag]);
    client.execute(&json!({ "argv": argv })).unwrap();
    client.recv_until_output("the sleepers sleep");
    // Without a close frame: the cable is pulled.
    drop(client);
    processes::wait_until_gone(&tag);
    assert_eq!(other.run_shell("echo unharmed").stdout(), "unharmed\n");
}

fn a_polite_close_ends_the_task_and_its_whole_tree(containment: &Containment) {
    let supervisor = without_grace(containment.options());
    let mut client = supervisor.connect();
    let tag = unique_tag("left");
    let argv = misbehave_argv(&["setsid-sleepers", "10", "stay", &tag]);
    client.execute(&json!({ "argv": argv })).unwrap();
    client.recv_until_output("the sleepers sleep");
    client.close();
    processes::wait_until_gone(&tag);
}

fn a_client_that_vanishes_while_its_task_floods_it_leaves_nothing(containment: &Containment) {
    let supervisor = without_grace(containment.options());
    let tag = unique_tag("flood");
    for _ in 0..5 {
        let mut client = supervisor.connect();
        client.execute(&json!({"argv": ["yes", tag]})).unwrap();
        client.recv_until_output(&tag);
        drop(client);
    }
    processes::wait_until_gone(&tag);
}

#[test]
fn a_connection_that_never_speaks_is_closed() {
    let supervisor = Supervisor::start(&Options::new().flag("--handshake-timeout", 1));
    let mut silent = http::connect(supervisor.address());
    let mut half = http::connect(supervisor.address());
    half.write_all(b"GET /ws/mcp HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    for stream in [&mut silent, &mut half] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// One byte at a time, each of them well within the time: the whole must be, too.
#[test]
fn a_handshake_that_drips_is_closed() {
    let supervisor = Supervisor::start(&Options::new().flag("--handshake-timeout", 1));
    let mut other = supervisor.connect();
    let mut stream = http::connect(supervisor.address());
    // Another session's tasks are the clock: far more of them than the timeout allows.
    let was_closed = (0..100).any(|_| {
        assert_eq!(other.run_shell("sleep 0.1").end(), ("exit", 0));
        stream.write_all(b"G").is_err()
    });
    assert!(was_closed, "a hundred drips were taken");
}

#[test]
fn strangers_who_never_speak_do_not_use_up_the_sessions() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 3));
    let _strangers: Vec<_> = (0..20).map(|_| http::connect(supervisor.address())).collect();
    let mut client = supervisor.connect();
    assert!(client.call("ping", &json!({})).is_ok());
}

#[test]
fn a_client_that_answers_pings_stays_and_is_never_asked_by_json() {
    let supervisor = Supervisor::start(&Options::new().flag("--heartbeat", 1));
    let mut client = supervisor.connect();
    assert_eq!(client.connected()["heartbeat_interval_s"].as_f64(), Some(1.0));
    // The task outlasts several heartbeats, and only its own messages come.
    let transcript = client.run_shell("sleep 5; echo still here");
    assert_eq!(transcript.stdout(), "still here\n");
    assert!(client.pings() >= 3, "{} pings", client.pings());
}

#[test]
fn a_client_that_does_not_answer_pings_is_dropped_and_its_task_ended() {
    let supervisor = without_grace(Options::new().flag("--heartbeat", 1));
    let mut client = supervisor.connect();
    let tag = unique_tag("dead");
    let argv = misbehave_argv(&["setsid-sleepers", "3", "stay", &tag]);
    client.execute(&json!({ "argv": argv })).unwrap();
    client.recv_until_output("the sleepers sleep");
    // Reads, but answers nothing: as a client behind a half-broken network does.
    client.drain().ok();
    processes::wait_until_gone(&tag);
    assert_eq!(supervisor.connect().run_shell("echo next").stdout(), "next\n");
}

#[test]
fn a_supervisor_that_is_told_to_stop_says_so_with_1001() {
    let mut supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    supervisor.signal(rustix::process::Signal::TERM);
    let (code, _reason, earlier) = client.recv_close();
    assert_eq!(code, 1001);
    assert!(earlier.is_empty());
    assert!(supervisor.wait().success());
}

#[test]
fn a_task_that_is_ended_by_the_stop_still_gets_its_terminal_event() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let tag = unique_tag("stop");
    let argv = misbehave_argv(&["setsid-sleepers", "10", "stay", &tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    client.recv_until_output("the sleepers sleep");
    supervisor.signal(rustix::process::Signal::TERM);
    let (code, _reason, earlier) = client.recv_close();
    assert_eq!(code, 1001);
    let completed = earlier.last().unwrap();
    assert_eq!(completed["method"], "process.completed");
    assert_eq!(completed["params"]["task_id"], answer["task_id"]);
    assert_eq!(completed["params"]["reason"], "supervisor_lost");
    assert_ne!(completed["params"]["exit_code"], 0);
    assert!(supervisor.wait().success());
    assert!(processes::survivors(&tag).is_empty());
}

#[test]
fn twenty_sessions_run_tasks_at_the_same_time_and_none_hears_of_another() {
    let supervisor = Supervisor::start_default();
    let mut clients: Vec<Client> = (0..20).map(|_| supervisor.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send_request("execute", &json!({"command": format!("echo task {number}")}));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.recv_json();
        let transcript = client.collect(response["result"].clone());
        assert_eq!(transcript.stdout(), format!("task {number}\n"));
    }
}

#[test]
fn a_close_frame_without_a_task_is_answered_with_the_end() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    client.send_bytes(&cc_tests::frames::frame(8, &1000_u16.to_be_bytes())).unwrap();
    assert!(matches!(client.recv(), Incoming::Closed { code: 1000, .. }));
    assert_eq!(client.recv(), Incoming::Ended);
}
