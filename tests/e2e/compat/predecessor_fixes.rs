//! The eight fixes of the predecessor's second review, each by name: what was mended there once must
//! never have to be mended here.

use std::thread;

use cc_tests::{
    Client, Options, Supervisor, binaries::misbehave_argv, fifo::Fifo, http, processes, unique_tag,
};
use serde_json::{Value, json};

fn active_sessions(supervisor: &Supervisor) -> Value {
    http::health(supervisor.address())["active_sessions"].clone()
}

/// There: a dictionary of sessions was changed while it was walked, without a lock.
#[test]
fn fix_1_the_session_table_under_concurrency() {
    let supervisor = Supervisor::start_default();
    thread::scope(|scope| {
        for worker in 0..8 {
            let supervisor = &supervisor;
            scope.spawn(move || {
                for round in 0..10 {
                    let mut client = supervisor.connect();
                    let word = format!("{worker} {round}");
                    let transcript = client.run_shell(&format!("echo {word}"));
                    assert_eq!(transcript.stdout(), format!("{word}\n"));
                    // Every other one leaves without a word.
                    if round % 2 == 0 {
                        client.close();
                    }
                }
            });
        }
    });
    // The table is right afterwards: as many find room as at the beginning.
    let _crowd: Vec<Client> = (0..100).map(|_| supervisor.connect()).collect();
    assert_eq!(active_sessions(&supervisor), 100);
}

/// There: the limit was checked in one step and the session added in another.
#[test]
fn fix_2_the_session_limit() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 10));
    let knock = || {
        let mut client = Client::open(supervisor.address(), "/ws/mcp", &[]).unwrap();
        let is_in = client.recv_json()["method"] == "connected";
        (is_in, client)
    };
    let answers: Vec<(bool, Client)> = thread::scope(|scope| {
        let knocking: Vec<_> = (0..40).map(|_| scope.spawn(knock)).collect();
        knocking.into_iter().map(|knocker| knocker.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|(is_in, _)| *is_in).count(), 10);
}

/// There: a stream that fell silent was waited for without end.
#[test]
fn fix_3_the_stream_timeout() {
    let supervisor = Supervisor::start(&Options::new().env("STREAM_TIMEOUT", 1));
    let mut client = supervisor.connect();
    let transcript = client.run_shell("echo before; sleep 100; echo after");
    assert_eq!(transcript.completed()["reason"], "idle_timeout");
    assert_eq!(transcript.stdout(), "before\n");
    assert_eq!(client.run_shell("echo next").stdout(), "next\n");
}

/// There: a line that met the 8 KiB boundary of the buffer was torn, or killed the stream.
#[test]
fn fix_4_lines_at_the_buffer_boundary() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for size in [4096_usize, 8192, 65_536] {
        for bytes in [size - 2, size - 1, size, size + 1, size + 2] {
            let argv = misbehave_argv(&["long-line", &bytes.to_string(), "more"]);
            let transcript = client.run_to_end(&json!({ "argv": argv }));
            let expected: String = ('a'..='z').cycle().take(bytes).collect();
            assert_eq!(transcript.stdout(), expected + "\nafter the long line\n", "{bytes}");
            assert!(transcript.outputs().all(|output| output["truncated"] == false));
        }
    }
}

/// There: output grew in memory until the machine gave up.
#[test]
fn fix_5_the_total_output_limit() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_to_end(&json!({"argv": misbehave_argv(&["flood", "50000000"])}));
    assert_eq!(transcript.end(), ("exit", 0));
    assert!(transcript.stdout().len() <= 10 * 1024 * 1024);
    assert!(transcript.stdout().ends_with("the last line\n"));
    assert_eq!(transcript.completed()["output"]["bytes"], 50_000_014);
    assert_eq!(transcript.params_of("output.dropped").count(), 1);
}

/// There: pause, resume and cancel could meet each other half way.
#[test]
fn fix_6_control_flow() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}; exit 11", fifo.path());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let events = client.recv_until_output("ready");
    // All requests at once; the answers come in order, and the state is that of the last.
    let kinds = ["PAUSE", "RESUME", "PAUSE", "RESUME", "PAUSE", "RESUME"];
    let ids: Vec<u64> =
        kinds.iter().map(|kind| client.send_request("control", &json!({"type": kind}))).collect();
    let mut answered = Vec::new();
    let mut more = Vec::new();
    while answered.len() < ids.len() {
        let message = client.recv_json();
        match message["id"].as_u64() {
            Some(id) => answered.push(id),
            None => more.push(message),
        }
    }
    assert_eq!(answered, ids);
    fifo.release();
    let transcript = client.collect_after(answer, [events, more].concat());
    assert_eq!(transcript.end(), ("exit", 11));
    assert_eq!(transcript.params_of("process.paused").count(), 3);
    assert_eq!(transcript.params_of("process.resumed").count(), 3);
}

/// There: a cancel returned while the process ran on, and its end was never told.
#[test]
fn fix_7_cancellation_is_awaited() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let tag = unique_tag("awaited");
    let argv = misbehave_argv(&["ignore-term", &tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    let events = client.recv_until_output("deaf");
    client.control("CANCEL").unwrap();
    let transcript = client.collect_after(answer, events);
    assert!(processes::survivors(&tag).is_empty(), "the end was told before it came");
    assert_eq!(transcript.completed()["reason"], "canceled");
}

/// There: what a canceled task had left behind slowed every later one down.
#[test]
fn fix_8_cleanup_after_cancellation() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let tag = unique_tag("cleanup");
    for _ in 0..10 {
        let argv = misbehave_argv(&["setsid-sleepers", "10", "stay", &tag]);
        let answer = client.execute(&json!({ "argv": argv })).unwrap();
        let events = client.recv_until_output("the sleepers sleep");
        client.control("CANCEL").unwrap();
        assert_eq!(client.collect_after(answer, events).completed()["reason"], "canceled");
        assert!(processes::survivors(&tag).is_empty());
        assert_eq!(client.run_shell("echo next").stdout(), "next\n");
    }
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", supervisor.pid())).unwrap().count();
    drop(client);
    assert!(descriptors < 40, "{descriptors} descriptors after twenty tasks");
    // Fails too if anything is left; a worker may take a moment to exit after its terminal event.
    assert!(supervisor.stop().success());
}
