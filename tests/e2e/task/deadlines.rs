//! Deadlines: each ends the whole tree, each is named in the terminal event.

use cc_tests::{
    Supervisor, binaries::misbehave_argv, cgroup::Containment, fifo::Fifo, processes, unique_tag,
    with_both_containments,
};
use serde_json::json;

with_both_containments!(
    the_total_timeout_ends_the_tree_and_is_named,
    the_silence_timeout_ends_the_tree_and_is_named,
    a_task_deaf_to_sigterm_does_not_outlive_its_timeout,
    paused_time_counts_for_no_deadline,
    a_timeout_counts_also_while_output_flows,
);

fn supervisor(containment: &Containment) -> Supervisor {
    Supervisor::start(&containment.options().flag("--grace", 1))
}

fn the_total_timeout_ends_the_tree_and_is_named(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("timeout");
    let argv = misbehave_argv(&["setsid-sleepers", "5", "stay", &tag]);
    let transcript = client.run_to_end(&json!({"argv": argv, "timeout": 1}));
    assert!(processes::survivors(&tag).is_empty());
    let completed = transcript.completed();
    assert_eq!(completed["reason"], "timeout");
    assert_eq!(completed["verdict"], "timed_out");
    assert_eq!(completed["status"], "failed", "no timeout is ever reported as completed");
    assert_ne!(completed["exit_code"], 0);
    assert!(completed["error"].is_string(), "{completed}");
}

fn the_silence_timeout_ends_the_tree_and_is_named(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("silence");
    let argv = misbehave_argv(&["setsid-sleepers", "5", "stay", &tag]);
    let transcript = client.run_to_end(&json!({"argv": argv, "idle_timeout": 1}));
    assert!(processes::survivors(&tag).is_empty());
    let completed = transcript.completed();
    assert_eq!(completed["reason"], "idle_timeout");
    assert_eq!(completed["verdict"], "timed_out");
    assert_ne!(completed["exit_code"], 0);
    assert!(completed["error"].is_string(), "{completed}");
}

fn a_task_deaf_to_sigterm_does_not_outlive_its_timeout(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("deaf");
    let argv = misbehave_argv(&["ignore-term", &tag]);
    let transcript = client.run_to_end(&json!({"argv": argv, "timeout": 0.5}));
    assert!(processes::survivors(&tag).is_empty());
    assert_eq!(transcript.end(), ("timeout", -9));
}

/// A second task is the clock: while the first is paused it takes longer than both deadlines of the
/// first.
fn paused_time_counts_for_no_deadline(containment: &Containment) {
    let supervisor = supervisor(containment);
    let (mut client, mut clock) = (supervisor.connect(), supervisor.connect());
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}; echo goes on", fifo.path());
    let params = json!({"argv": ["sh", "-c", command], "timeout": 6, "idle_timeout": 6});
    let answer = client.execute(&params).unwrap();
    let mut events = client.recv_until_output("ready");
    client.control("PAUSE").unwrap();
    assert_eq!(clock.run_shell("sleep 7").end(), ("exit", 0));
    client.control("RESUME").unwrap();
    events.extend(client.recv_until_method("process.resumed"));
    fifo.release();
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.end(), ("exit", 0));
}

fn a_timeout_counts_also_while_output_flows(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let params = json!({"argv": ["sh", "-c", "while :; do echo tick; sleep 0.1; done"], "timeout": 1, "idle_timeout": 100});
    let transcript = client.run_to_end(&params);
    assert_eq!(transcript.completed()["reason"], "timeout");
}

#[test]
fn output_on_either_stream_and_also_without_newline_is_no_silence() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    // Each pause is much shorter, and all together are longer than the silence that is allowed.
    let command = "for i in 1 2 3 4 5 6 7 8; do sleep 0.5; echo out; sleep 0.5; printf . >&2; done";
    let params = json!({"argv": ["sh", "-c", command], "idle_timeout": 6});
    assert_eq!(client.run_to_end(&params).end(), ("exit", 0));
}

#[test]
fn the_default_silence_timeout_comes_from_the_predecessors_variable() {
    let options = cc_tests::Options::new().env("STREAM_TIMEOUT", 1).flag("--grace", 1);
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let transcript = client.run_shell("echo before; sleep 100");
    assert_eq!(transcript.completed()["reason"], "idle_timeout");
    assert_eq!(transcript.stdout(), "before\n");
}

#[test]
fn a_task_that_ends_in_time_is_not_touched_by_its_deadlines() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let params = json!({"argv": ["sh", "-c", "exit 9"], "timeout": 1000, "idle_timeout": 1000});
    assert_eq!(client.run_to_end(&params).end(), ("exit", 9));
}

#[test]
fn the_output_before_a_timeout_is_kept() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let params = json!({"command": "echo one; printf two; sleep 100", "timeout": 1});
    let transcript = client.run_to_end(&params);
    assert_eq!(transcript.stdout(), "one\ntwo");
    assert_eq!(transcript.completed()["reason"], "timeout");
}
