//! What happens to one worker, or to the supervisor, affects no other task.

use std::{process::Command, time::Duration};

use cc_tests::{
    Client, Options, Supervisor,
    binaries::{self, misbehave_argv},
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, Process},
    requests, unique_tag, wait_until, with_both_containments,
};
use rustix::process::Signal;
use serde_json::{Value, json};

with_both_containments!(
    a_worker_that_is_killed_ends_its_task_and_tree_and_nobody_elses,
    a_worker_that_is_killed_in_a_flood_keeps_what_was_delivered_and_ends_once,
    a_worker_that_is_stopped_cannot_outwait_the_deadline_of_its_task,
    a_worker_that_is_stopped_cannot_outwait_a_cancel,
    a_worker_that_hangs_without_any_deadline_is_noticed,
    the_daemons_of_a_killed_worker_are_found_wherever_they_went,
    a_supervisor_that_is_told_to_stop_leaves_nothing,
    a_second_signal_skips_the_grace,
    the_supervisor_reaps_what_it_inherits,
    a_worker_that_is_killed_while_its_task_is_paused_leaves_nothing,
    a_supervisor_that_is_told_to_stop_while_a_task_is_paused_leaves_nothing,
    a_task_that_is_just_being_started_does_not_slip_past_the_stop,
    a_task_that_is_just_being_started_does_not_slip_past_a_disconnect,
);

fn supervisor(containment: &Containment) -> Supervisor {
    Supervisor::start(&containment.options().flag("--grace", 1))
}

/// A task with five children in sessions of their own, all in place.
fn start_family(client: &mut Client, tag: &str, more: Value) -> (Value, Vec<Value>) {
    let mut params = more;
    params["argv"] = json!(misbehave_argv(&["setsid-sleepers", "5", "stay", tag]));
    let answer = client.execute(&params).unwrap();
    let events = client.recv_until_output("the sleepers sleep");
    (answer, events)
}

fn assert_worker_died(completed: &Value, tag: &str) {
    assert_eq!(completed["reason"], "worker_died", "{completed}");
    assert_eq!(completed["verdict"], "worker_died");
    assert_eq!(completed["status"], "failed");
    assert!(completed["error"].is_string(), "{completed}");
    processes::assert_gone(tag);
}

fn a_worker_that_is_killed_ends_its_task_and_tree_and_nobody_elses(containment: &Containment) {
    let supervisor = supervisor(containment);
    let (mut client, mut other) = (supervisor.connect(), supervisor.connect());
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}; echo unharmed", fifo.path());
    let other_answer = other.execute(&json!({ "command": command })).unwrap();
    let other_events = other.recv_until_output("ready");

    let tag = unique_tag("orphans");
    let (answer, events) = start_family(&mut client, &tag, json!({}));
    requests::worker(&answer).signal(Signal::KILL);
    let transcript = client.collect_after(answer, events);
    assert_worker_died(transcript.completed(), &tag);

    fifo.release();
    let transcript = other.collect_after(other_answer, other_events);
    assert!(transcript.stdout().ends_with("unharmed\n"));
    assert_eq!(client.run_shell("echo next").stdout(), "next\n");
}

fn a_worker_that_is_killed_in_a_flood_keeps_what_was_delivered_and_ends_once(
    containment: &Containment,
) {
    let supervisor = supervisor(containment);
    for _ in 0..5 {
        let mut client = supervisor.connect();
        let tag = unique_tag("flood");
        let answer = client.execute(&json!({"argv": ["yes", tag]})).unwrap();
        let events = client.recv_until_output(&tag);
        requests::worker(&answer).signal(Signal::KILL);
        // The transcript's own checks: numbers without gaps, one terminal event, the last of all.
        let transcript = client.collect_after(answer, events);
        assert_worker_died(transcript.completed(), &tag);
    }
}

fn a_worker_that_is_stopped_cannot_outwait_the_deadline_of_its_task(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("stopped");
    let (answer, events) = start_family(&mut client, &tag, json!({"timeout": 2}));
    requests::worker(&answer).signal(Signal::STOP);
    let transcript = client.collect_after(answer, events);
    assert_worker_died(transcript.completed(), &tag);
}

fn a_worker_that_is_stopped_cannot_outwait_a_cancel(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("stopped");
    let (answer, events) = start_family(&mut client, &tag, json!({}));
    requests::worker(&answer).signal(Signal::STOP);
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    let transcript = client.collect_after(answer, events);
    assert_worker_died(transcript.completed(), &tag);
}

fn a_worker_that_hangs_without_any_deadline_is_noticed(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    client.set_patience(Duration::from_secs(60));
    let tag = unique_tag("hung");
    let (answer, events) = start_family(&mut client, &tag, json!({}));
    requests::worker(&answer).signal(Signal::STOP);
    let transcript = client.collect_after(answer, events);
    assert_worker_died(transcript.completed(), &tag);
}

fn the_daemons_of_a_killed_worker_are_found_wherever_they_went(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("daemons");
    // One that holds the pipes, one that does not, one without the marker in its environment, a comet.
    let holding = misbehave_argv(&["daemon", "holding", &tag]).join(" ");
    let closing = misbehave_argv(&["daemon", "closing", &tag]).join(" ");
    let unmarked = format!("env -i {}", misbehave_argv(&["daemon", "holding", &tag]).join(" "));
    let comet = misbehave_argv(&["comet", "stay", &tag]).join(" ");
    let command = format!("{holding}; {closing}; {unmarked}; {comet}");
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let events = client.recv_until_output("the comet flies");
    let shell = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    let worker = Process::open(processes::parent(shell).unwrap()).unwrap();
    worker.signal(Signal::KILL);
    let transcript = client.collect_after(answer, events);
    assert_worker_died(transcript.completed(), &tag);
}

fn a_supervisor_that_is_told_to_stop_leaves_nothing(containment: &Containment) {
    for signal in [Signal::TERM, Signal::INT] {
        let mut supervisor = supervisor(containment);
        let mut clients: Vec<Client> = (0..3).map(|_| supervisor.connect()).collect();
        let tag = unique_tag("stop");
        start_family(&mut clients[0], &tag, json!({}));
        clients[1].execute(&json!({"argv": misbehave_argv(&["ignore-term", &tag])})).unwrap();
        clients[1].recv_until_output("deaf");
        let respawn = misbehave_argv(&["respawn", "5", &tag]);
        clients[2].execute(&json!({ "argv": respawn })).unwrap();
        clients[2].recv_until_output("children run");
        let workers: Vec<Process> =
            supervisor.workers().into_iter().filter_map(Process::open).collect();
        assert!(workers.len() >= 3);
        supervisor.signal(signal);
        // `wait` also fails if anything of the tree is left.
        assert!(supervisor.wait().success(), "{}", supervisor.log());
        assert!(processes::survivors(&tag).is_empty());
        assert!(workers.iter().all(|worker| worker.wait_gone(Duration::ZERO)));
    }
}

fn a_second_signal_skips_the_grace(containment: &Containment) {
    // The grace is far longer than a test waits.
    let mut supervisor = Supervisor::start(&containment.options().flag("--grace", 600));
    let mut client = supervisor.connect();
    let tag = unique_tag("deaf");
    client.execute(&json!({"argv": misbehave_argv(&["ignore-term", &tag])})).unwrap();
    client.recv_until_output("deaf");
    supervisor.signal(Signal::TERM);
    client.recv_until_method("process.canceled");
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait().success());
    assert!(processes::survivors(&tag).is_empty());
}

fn the_supervisor_reaps_what_it_inherits(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    for _ in 0..3 {
        let tag = unique_tag("zombies");
        let (answer, events) = start_family(&mut client, &tag, json!({}));
        requests::worker(&answer).signal(Signal::KILL);
        assert_worker_died(client.collect_after(answer, events).completed(), &tag);
    }
    assert_eq!(client.run_shell("true").end(), ("exit", 0));
    wait_until("nothing that has died is left as a zombie", || supervisor.zombies().is_empty());
}

fn a_worker_that_is_killed_while_its_task_is_paused_leaves_nothing(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("paused");
    let (answer, mut events) = start_family(&mut client, &tag, json!({}));
    client.control("PAUSE").unwrap();
    events.extend(client.recv_until_method("process.paused"));
    requests::worker(&answer).signal(Signal::KILL);
    let transcript = client.collect_after(answer, events);
    assert_worker_died(transcript.completed(), &tag);
}

fn a_supervisor_that_is_told_to_stop_while_a_task_is_paused_leaves_nothing(
    containment: &Containment,
) {
    let mut supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("paused");
    start_family(&mut client, &tag, json!({}));
    client.control("PAUSE").unwrap();
    assert!(supervisor.stop().success());
    assert!(processes::survivors(&tag).is_empty());
}

fn a_task_that_is_just_being_started_does_not_slip_past_the_stop(containment: &Containment) {
    for _ in 0..10 {
        let mut supervisor = supervisor(containment);
        let tag = unique_tag("starting");
        let params = json!({"argv": misbehave_argv(&["setsid-sleepers", "2", "stay", &tag])});
        let mut clients: Vec<Client> = (0..4).map(|_| supervisor.connect()).collect();
        for client in &mut clients {
            client.send_request("execute", &params);
        }
        // `stop` also fails if a worker or anything else of the tree is left.
        assert!(supervisor.stop().success(), "{}", supervisor.log());
        assert!(processes::survivors(&tag).is_empty());
    }
}

fn a_task_that_is_just_being_started_does_not_slip_past_a_disconnect(containment: &Containment) {
    let options = containment.options().flag("--grace", 1).flag("--resume-grace", 0);
    let supervisor = Supervisor::start(&options);
    let tag = unique_tag("starting");
    let params = json!({"argv": misbehave_argv(&["setsid-sleepers", "2", "stay", &tag])});
    for _ in 0..30 {
        supervisor.connect().send_request("execute", &params);
    }
    // The last of them has been dealt with when a task of another session has run.
    assert_eq!(supervisor.connect().run_shell("sleep 1").end(), ("exit", 0));
    processes::wait_until_gone(&tag);
}

/// As a shell script starts its background jobs, a service manager its low-priority services.
fn careless_start() -> Options {
    Options::new().wrapped_in([
        "sh",
        "-c",
        "trap '' INT TERM HUP PIPE CHLD USR2
         echo 500 > /proc/self/oom_score_adj
         exec nice -n 5 \"$@\"",
        "sh",
        &binaries::misbehave(),
        "exec-with-signals-blocked",
    ])
}

#[test]
fn ignored_and_blocked_signals_of_the_supervisor_are_not_passed_on() {
    let mut supervisor = Supervisor::start(&careless_start());
    let mut client = supervisor.connect();
    let transcript = client.run_to_end(&json!({"argv": ["cat", "/proc/self/status"]}));
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        let expected = format!("{name}:\t0000000000000000\n");
        assert!(transcript.stdout().contains(&expected), "{}", transcript.stdout());
    }
    assert!(supervisor.stop().success());
}

#[test]
fn nice_value_and_oom_score_of_the_supervisor_are_not_passed_on() {
    let supervisor = Supervisor::start(&careless_start());
    let mut client = supervisor.connect();
    let transcript = client.run_to_end(&json!({"argv": misbehave_argv(&["report"])}));
    let report: Value = serde_json::from_str(&transcript.stdout()).unwrap();
    assert_eq!(report["oom_score_adj"], "0", "{report}");
    if nix::unistd::geteuid().is_root() {
        assert_eq!(report["nice"], "0", "{report}");
    }
}

#[test]
fn cancel_works_under_a_supervisor_that_was_started_with_signals_ignored() {
    let supervisor = Supervisor::start(&careless_start().flag("--grace", 600));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sh", "-c", "echo ready; sleep 100"]})).unwrap();
    let events = client.recv_until_output("ready");
    client.control("CANCEL").unwrap();
    assert_eq!(client.collect_after(answer, events).end(), ("canceled", -15));
}

#[test]
fn a_worker_that_does_not_exist_is_an_error_and_no_hang() {
    let worker = "/no/such/worker";
    // Found at the start or at the first task: either way it is named, and nothing hangs.
    let output = Command::new(binaries::supervisor())
        .args(["--no-config", "--listen", "127.0.0.1:0", "--cgroup", "off", "--stop-on-stdin-eof"])
        .args(["--worker", worker, "--state-dir"])
        .arg(tempfile::tempdir().unwrap().path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(worker), "{text}");
}

#[test]
fn a_second_supervisor_on_one_state_directory_is_refused_and_the_first_goes_on() {
    let supervisor = Supervisor::start_default();
    let output = Command::new(binaries::supervisor())
        .args(["--no-config", "--listen", "127.0.0.1:0", "--cgroup", "off", "--state-dir"])
        .arg(supervisor.state_directory())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&supervisor.pid().to_string()), "who holds it is not said: {text}");
    assert_eq!(supervisor.connect().run_shell("echo still").stdout(), "still\n");
}
