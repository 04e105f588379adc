//! The disk does not fill: of tasks that have ended only so many days, so many, so many bytes are kept;
//! and a disk that refuses a write is reported.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
};

use cc_tests::{
    Client, Follower, Options, Supervisor,
    binaries::misbehave_argv,
    fifo::Fifo,
    http,
    requests::{answer_for, gated, last_seq, task_id},
    wait_until,
};
use serde_json::{Value, json};

/// No session waits for its client, so that ended tasks may go at once.
fn options() -> Options {
    Options::new().flag("--resume-grace", 0).flag("--grace", 1)
}

/// Runs so many small tasks to their end, one after the other; their ids.
fn run_small(client: &mut Client, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| client.run_shell(&format!("echo {number}")).task_id().to_owned())
        .collect()
}

/// The tasks that are known, the newest first.
fn known(client: &mut Client) -> Vec<String> {
    let list = client.call("task.list", &json!({"limit": 1_000})).unwrap();
    list["tasks"].as_array().unwrap().iter().map(|task| task_id(task).to_owned()).collect()
}

/// Checks that the tasks are unknown in every way, and their logs gone.
fn assert_forgotten(supervisor: &Supervisor, client: &mut Client, ids: &[String]) {
    for id in ids {
        wait_until("the log is removed", || !supervisor.task_directory(id).exists());
        wait_until("the task is forgotten", || client.task(id).is_err());
        assert_eq!(client.task(id).unwrap_err()["code"], -32014);
        assert_eq!(client.attach(id, 0).unwrap_err()["code"], -32014);
        let output = client.call("task.output", &json!({ "task_id": id }));
        assert_eq!(output.unwrap_err()["code"], -32014);
    }
}

#[test]
fn of_many_tasks_the_newest_are_kept_and_the_oldest_go() {
    let supervisor = Supervisor::start(&options().flag("--keep-tasks", 3));
    let mut client = supervisor.connect();
    let ids = run_small(&mut client, 10);
    let mut other = supervisor.connect();
    assert_forgotten(&supervisor, &mut other, &ids[..7]);
    let mut kept = ids[7..].to_vec();
    kept.reverse();
    assert_eq!(known(&mut other), kept);
    for id in &kept {
        let events = other.watch(id, 0);
        assert_eq!(events.last().unwrap()["method"], "process.completed");
    }
}

#[test]
fn of_large_tasks_as_many_bytes_are_kept_as_are_allowed() {
    let supervisor = Supervisor::start(&options().flag("--keep-bytes", 1_000_000));
    let mut client = supervisor.connect();
    let argv = misbehave_argv(&["flood", "300000"]);
    let ids: Vec<String> =
        (0..6).map(|_| client.run_to_end(&json!({ "argv": argv })).task_id().to_owned()).collect();
    let mut other = supervisor.connect();
    // Each takes more than its output, so two fit, and four do not.
    assert_forgotten(&supervisor, &mut other, &ids[..3]);
    assert!(other.task(&ids[5]).is_ok());
    wait_until("what is kept is within its limit", || kept_bytes(&supervisor) <= 1_000_000);
    assert!(kept_bytes(&supervisor) > 300_000);
}

fn kept_bytes(supervisor: &Supervisor) -> u64 {
    let tasks = fs::read_dir(supervisor.state_directory().join("tasks")).unwrap();
    let logs = tasks.flatten().map(|task| task.path().join("log"));
    logs.filter_map(|log| Some(fs::metadata(log).ok()?.len())).sum()
}

#[test]
fn what_is_older_than_allowed_goes() {
    let supervisor = Supervisor::start(&options().flag("--keep-days", 0));
    let mut client = supervisor.connect();
    let ids = run_small(&mut client, 3);
    // At the latest when another task ends.
    assert_eq!(run_small(&mut client, 1).len(), 1);
    assert_forgotten(&supervisor, &mut supervisor.connect(), &ids);
}

#[test]
fn a_running_task_stays_however_much_it_has_written() {
    let supervisor = Supervisor::start(&options().flag("--keep-bytes", 0).flag("--keep-tasks", 0));
    let mut gate = Fifo::create();
    let flood = misbehave_argv(&["flood", "300000"]).join(" ");
    let command = format!("{flood}; echo ready; read go < {}", gate.path());
    let follower = Follower::start_until(&supervisor, &json!({ "command": command }), "ready");
    let mut other = supervisor.connect();
    let ids = run_small(&mut other, 5);
    assert_forgotten(&supervisor, &mut other, &ids[..4]);
    let stored = other.call("task.output", &json!({"task_id": follower.task_id(), "limit": 1}));
    assert_eq!(stored.unwrap()["last_seq"], 1);
    gate.release();
    let mut follower = follower;
    assert!(follower.client.follow(&mut follower.events), "its end is heard");
}

#[test]
fn what_a_client_has_not_heard_yet_stays_for_the_grace_of_its_session() {
    let supervisor = Supervisor::start(&Options::new().flag("--keep-tasks", 0));
    let mut gate = Fifo::create();
    let Follower { client, session, answer, mut events, .. } =
        Follower::start_until(&supervisor, &gated(&gate, "echo unheard"), "ready");
    client.vanish();
    gate.release();
    let mut other = supervisor.connect();
    other.wait_for_end(task_id(&answer));
    run_small(&mut other, 5);
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    assert!(client.follow(&mut events));
    let transcript = cc_tests::Transcript::checked(answer, events);
    assert_eq!(transcript.stdout(), "ready\nunheard\n");
}

#[test]
fn a_log_that_somebody_follows_stays_until_it_has_been_read() {
    let supervisor = Supervisor::start(&options().flag("--keep-tasks", 1));
    let mut starter = supervisor.connect();
    let argv = misbehave_argv(&["flood", "5000000"]);
    let transcript = starter.run_to_end(&json!({ "argv": argv }));
    let mut slow = supervisor.connect();
    slow.attach(transcript.task_id(), 0).unwrap();
    run_small(&mut starter, 5);
    let mut events = Vec::new();
    assert!(slow.follow(&mut events));
    assert!(events == transcript.events);
}

#[test]
fn what_is_kept_outlives_a_restart_and_the_limits_hold_for_it() {
    let mut supervisor = Supervisor::start(&options());
    let mut client = supervisor.connect();
    let ids = run_small(&mut client, 6);
    let transcript = client.run_shell("echo the last one");
    supervisor.kill();
    supervisor.start_again(&options().flag("--keep-tasks", 2));
    let mut client = supervisor.connect();
    assert_forgotten(&supervisor, &mut client, &ids[..5]);
    assert_eq!(client.watch(transcript.task_id(), 0), transcript.events);
}

#[test]
fn the_predecessors_files_and_strangers_in_the_state_directory_are_left_alone() {
    let mut supervisor = Supervisor::start(&options().flag("--keep-tasks", 0));
    let note = supervisor.state_directory().join("tasks").join("a note");
    fs::write(&note, "mine").unwrap();
    let directory = supervisor.state_directory().join("tasks").join("a directory");
    fs::create_dir(&directory).unwrap();
    let mut client = supervisor.connect();
    run_small(&mut client, 3);
    supervisor.kill();
    supervisor.start_again(&options().flag("--keep-tasks", 0));
    assert_eq!(supervisor.connect().run_shell("echo works").stdout(), "works\n");
    assert_eq!(fs::read_to_string(note).unwrap(), "mine");
    assert!(directory.is_dir());
}

fn health(supervisor: &Supervisor, path: &str) -> (u16, Value) {
    let answer = http::get(supervisor.address(), path, &[]);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn a_log_that_cannot_be_written_is_told_by_the_probe_until_it_can_be() {
    // Root may write anywhere, so the supervisor runs as another user.
    let Some(options) = Options::of_an_ordinary_user() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    assert_eq!(health(&supervisor, "/healthz").1["status"], "ok");
    let tasks = supervisor.state_directory().join("tasks");
    // A mode would be set back.
    let owner = fs::metadata(&tasks).unwrap().uid();
    let give_to = |uid| chown(&tasks, Some(uid), None).unwrap();
    give_to(0);
    let error = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(error["code"], -32017, "{error}");
    assert!(error["message"].as_str().unwrap().contains("ermission denied"), "{error}");
    for (path, expected) in [("/healthz", (200, "degraded")), ("/readyz", (503, "not ready"))] {
        let (status, body) = health(&supervisor, path);
        assert_eq!((status, body["status"].as_str().unwrap()), expected, "{body}");
        let problem = body["problems"][0].as_str().unwrap();
        assert!(problem.contains("correct its permissions"), "what to do: {problem}");
    }
    give_to(owner);
    // Nobody has to start a task for that.
    wait_until("the problem is over", || {
        health(&supervisor, "/healthz").1["problems"] == json!([])
    });
    assert_eq!(client.run_shell("echo works").stdout(), "works\n");
    assert_eq!(health(&supervisor, "/healthz").1["status"], "ok");
}

#[test]
fn detached_tasks_are_kept_and_removed_like_others() {
    let supervisor = Supervisor::start(&options().flag("--keep-tasks", 2));
    let mut client = supervisor.connect();
    let mut ids = Vec::new();
    for number in 0..5 {
        let command = json!({"command": format!("echo {number}"), "detach": true});
        let answer = client.execute(&command).unwrap();
        client.wait_for_end(task_id(&answer));
        ids.push(task_id(&answer).to_owned());
    }
    assert_forgotten(&supervisor, &mut client, &ids[..3]);
    let events = client.watch(&ids[4], 0);
    assert_eq!(cc_tests::Transcript::checked(answer_for(&events), events).stdout(), "4\n");
}
