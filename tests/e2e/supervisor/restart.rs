//! Stops, upgrades and restarts: what clients receive, which tasks are kept, and what the next supervisor knows.

use std::fs;

use cc_tests::{
    Follower, Options, PATIENCE, Supervisor, Transcript,
    fifo::Fifo,
    processes,
    requests::{gated, task_id},
    task_log::TaskLog,
    unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::adoption::family;

/// A supervisor with one client whose task waits for the gate.
fn with_a_gated_task(options: &Options) -> (Supervisor, Follower, Fifo) {
    let supervisor = Supervisor::start(options);
    let gate = Fifo::create();
    let follower = Follower::start_until(&supervisor, &gated(&gate, "echo done"), "ready");
    (supervisor, follower, gate)
}

/// Lets the gated task of a supervisor that has left its task go on without one, and comes back.
fn finish_after_restart(
    mut supervisor: Supervisor,
    mut follower: Follower,
    mut gate: Fifo,
    options: &Options,
) {
    assert!(processes::state(follower.worker().pid).is_some(), "the worker runs on");
    supervisor.start_again(options);
    follower.come_back(&supervisor);
    gate.release();
    let transcript = follower.finish(&supervisor);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
}

#[test]
fn clients_are_told_with_1012_to_come_back_after_an_upgrade() {
    let options = Options::new();
    let (mut supervisor, mut follower, gate) = with_a_gated_task(&options);
    let mut idle = supervisor.connect();
    supervisor.leave();
    for client in [&mut follower.client, &mut idle] {
        let (code, reason, earlier) = client.recv_close();
        assert_eq!((code, earlier), (1012, Vec::new()), "{reason}");
        assert!(reason.contains("resume"), "what to do: {reason}");
    }
    finish_after_restart(supervisor, follower, gate, &options);
}

#[test]
fn a_stop_keeps_the_tasks_where_that_is_asked_for() {
    let options = Options::new().flag("--on-stop", "keep-tasks");
    let (mut supervisor, mut follower, gate) = with_a_gated_task(&options);
    supervisor.signal(Signal::TERM);
    assert_eq!(follower.client.recv_close().0, 1012);
    assert!(supervisor.wait_for_exit().success());
    finish_after_restart(supervisor, follower, gate, &options);
}

#[test]
fn every_other_stop_ends_the_tasks() {
    let keep = Options::new().flag("--on-stop", "keep-tasks");
    for (options, signal) in [
        (Options::new(), Signal::TERM),
        (Options::new(), Signal::INT),
        // Somebody at a terminal wants the end.
        (keep.clone(), Signal::INT),
        // A task that may not outlive its supervisor is not kept, by whatever signal the supervisor stops.
        (keep.clone().flag("--on-supervisor-loss", "kill"), Signal::TERM),
        (Options::new().flag("--on-supervisor-loss", "kill"), Signal::USR1),
    ] {
        let mut supervisor = Supervisor::start(&options.flag("--grace", 1));
        let tag = unique_tag("stop");
        let follower = family(&supervisor, &tag);
        supervisor.signal(signal);
        // `wait` also fails if anything is left.
        assert!(supervisor.wait().success(), "{signal:?}: {}", supervisor.log());
        processes::assert_gone(&tag);
        let path = supervisor.task_directory(follower.task_id()).join("log");
        assert_eq!(TaskLog::read(&path).completed().reason.as_str(), "supervisor_lost");
    }
}

#[test]
fn an_idle_supervisor_that_leaves_and_comes_back_knows_its_sessions() {
    let mut supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let transcript = client.run_shell("echo before");
    supervisor.leave();
    supervisor.start_again(&Options::new());
    let mut client = supervisor.connect();
    client.resume(&session, Some((transcript.task_id(), 0))).unwrap();
    let again: Vec<Value> = transcript.events.iter().map(|_| client.recv_json()).collect();
    assert_eq!(again, transcript.events);
    assert_eq!(client.run_shell("echo after").stdout(), "after\n");
}

#[test]
fn the_grace_of_a_session_goes_on_over_a_restart() {
    let options = Options::new().flag("--resume-grace", 1).flag("--grace", 1);
    let (mut supervisor, follower, _gate) = with_a_gated_task(&options);
    supervisor.kill();
    supervisor.start_again(&options);
    // Nobody comes back.
    let ended = supervisor.connect().wait_for_end(follower.task_id());
    assert_eq!(ended["reason"], "disconnected", "{ended}");
    let error = supervisor.connect().resume(&follower.session, None).unwrap_err();
    assert_eq!(error["code"], -32011, "{error}");
}

#[test]
fn a_task_that_ended_while_there_was_no_supervisor_is_known_without_its_client() {
    let options = Options::new();
    let (mut supervisor, follower, mut gate) = with_a_gated_task(&options);
    supervisor.kill();
    gate.release();
    assert!(follower.worker().wait_gone(PATIENCE));
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    let task = client.task(follower.task_id()).unwrap();
    assert_eq!((&task["state"], &task["exit_code"]), (&json!("ended"), &json!(0)), "{task}");
    let ended = client.call("task.list", &json!({"state": "ended"})).unwrap();
    assert_eq!(task_id(&ended["tasks"][0]), follower.task_id());
    let events = client.watch(follower.task_id(), 0);
    let transcript = Transcript::checked(follower.answer, events);
    assert_eq!(transcript.stdout(), "ready\ndone\n");
}

#[test]
fn tasks_are_adopted_also_when_the_database_is_gone() {
    let options = Options::new();
    let (mut supervisor, follower, mut gate) = with_a_gated_task(&options);
    let ended = supervisor.connect().run_shell("echo ended");
    supervisor.kill();
    for entry in fs::read_dir(supervisor.state_directory()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("state.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    gate.release();
    let events = client.watch(follower.task_id(), 0);
    let transcript = Transcript::checked(follower.answer, events);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
    assert_eq!(client.watch(ended.task_id(), 0), ended.events);
    assert_eq!(client.resume(&follower.session, None).unwrap_err()["code"], -32010);
}

#[test]
fn a_worker_that_speaks_another_language_is_left_to_its_end() {
    let options = Options::new();
    let (mut supervisor, mut follower, mut gate) = with_a_gated_task(&options);
    supervisor.kill();
    follower.lose();
    // Plays the worker of another version; the real worker runs the task meanwhile.
    let mut stop = Fifo::create();
    let socket = supervisor.task_directory(follower.task_id()).join("worker.sock");
    let mut foreign = std::process::Command::new(cc_tests::binaries::misbehave())
        .args(["foreign-worker", socket.to_str().unwrap(), stop.path()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_a_line(foreign.stdout.as_mut().unwrap());
    supervisor.start_again(&options);
    wait_until("it says what it cannot do", || supervisor.log().contains("version"));
    // It blocks no other task.
    assert_eq!(supervisor.connect().run_shell("echo new").stdout(), "new\n");
    let task = supervisor.connect().task(follower.task_id()).unwrap();
    assert_ne!(task["state"], "ended", "{task}");
    gate.release();
    assert!(follower.worker().wait_gone(PATIENCE));
    stop.release();
    foreign.wait().unwrap();
    follower.come_back(&supervisor);
    let transcript = follower.finish(&supervisor);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
}

fn wait_for_a_line(from: &mut impl std::io::Read) {
    use std::io::BufRead as _;
    let mut line = String::new();
    std::io::BufReader::new(from).read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "a whole line: {line:?}");
}

#[test]
fn a_port_that_is_taken_is_named_with_the_option_that_gives_another() {
    let mut supervisor = Supervisor::start_default();
    let first = Supervisor::start_default();
    assert!(supervisor.stop().success());
    let options = Options::new().flag("--listen", first.address());
    let error = supervisor.start_in_vain(&options);
    assert!(error.contains("--listen") && error.contains(&first.address().to_string()), "{error}");
}
