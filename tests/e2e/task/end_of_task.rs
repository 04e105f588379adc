//! A task is over when its main process is, and nothing that it wrote is lost.

use cc_tests::{
    Supervisor, binaries::misbehave_argv, cgroup::Containment, fifo::Fifo, processes, unique_tag,
    with_both_containments,
};
use serde_json::json;

with_both_containments!(
    the_end_does_not_wait_for_a_daemon_that_holds_the_pipe,
    what_was_written_just_before_the_end_is_delivered,
    the_exit_code_of_every_task_is_its_own,
    death_by_a_signal_of_its_own_is_reported_as_such,
    the_end_comes_although_a_grandchild_floods_the_pipe,
    a_task_that_closes_its_output_runs_on_until_it_exits,
    the_next_task_may_be_started_at_the_very_moment_of_the_end,
);

/// The daemon lives far longer than a client waits, so the end coming at all is the proof.
fn the_end_does_not_wait_for_a_daemon_that_holds_the_pipe(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    let tag = unique_tag("holding");
    let argv = misbehave_argv(&["daemon", "holding", &tag]);
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(transcript.stdout(), "the daemon runs\n");
    assert!(processes::survivors(&tag).is_empty());
}

fn what_was_written_just_before_the_end_is_delivered(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    let tag = unique_tag("full-pipe");
    // The daemon keeps the pipes open; the main process leaves them as full as they can be.
    let daemon = misbehave_argv(&["daemon", "holding", &tag]).join(" ");
    let flood = misbehave_argv(&["flood", "60000"]).join(" ");
    for _ in 0..10 {
        let transcript = client.run_shell(&format!("{daemon}; exec {flood}"));
        assert_eq!(transcript.stdout().lines().count(), 1 + 600 + 1);
        assert!(transcript.stdout().ends_with("the last line\n"));
        assert_eq!(transcript.completed()["output"]["dropped_bytes"], 0);
    }
}

fn the_exit_code_of_every_task_is_its_own(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    for code in [0, 1, 2, 77, 126, 127, 255] {
        let transcript = client.run_shell(&format!("exit {code}"));
        assert_eq!(transcript.end(), ("exit", code));
        assert_eq!(transcript.completed()["signal"], json!(null));
        let verdict = if code == 0 { "succeeded" } else { "failed" };
        assert_eq!(transcript.completed()["verdict"], verdict);
    }
}

fn death_by_a_signal_of_its_own_is_reported_as_such(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    for signal in [1, 2, 6, 9, 11, 15] {
        let transcript = client.run_shell(&format!("ulimit -c 0; kill -{signal} $$"));
        assert_eq!(transcript.end(), ("signal", -signal));
        assert_eq!(transcript.completed()["signal"], signal);
        assert_eq!(transcript.completed()["verdict"], "failed");
    }
}

fn the_end_comes_although_a_grandchild_floods_the_pipe(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    let tag = unique_tag("flooding");
    let transcript = client.run_shell(&format!("echo first; setsid yes {tag} & sleep 0.2; exit 4"));
    assert_eq!(transcript.end(), ("exit", 4));
    assert!(transcript.stdout().starts_with("first\n"));
    assert!(processes::survivors(&tag).is_empty());
}

fn a_task_that_closes_its_output_runs_on_until_it_exits(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo out; exec >&- 2>&-; read go < {}; exit 5", fifo.path());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let earlier = client.recv_until_output("out");
    // Still running: a second task is refused.
    let refusal = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(refusal["code"], -32602);
    fifo.release();
    assert_eq!(client.collect_after(answer, earlier).end(), ("exit", 5));
}

fn the_next_task_may_be_started_at_the_very_moment_of_the_end(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let mut client = supervisor.connect();
    for _ in 0..100 {
        let answer = client.execute(&json!({"argv": ["true"]}));
        assert!(answer.is_ok(), "{answer:?}");
        client.recv_until_method("process.completed");
    }
}
