//! Operators see the workers and restart them; connections and batches go on.

use cc_tests::{
    Options, Supervisor,
    batches::{self, Notes, Over, attempts, plan_with, submit},
    fifo::Fifo,
    processes::{self, Process},
    requests::{self, gated, task_id},
    wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn list(client: &mut cc_tests::Client) -> Vec<Value> {
    client.call("worker.list", &json!({})).unwrap()["workers"].as_array().unwrap().clone()
}

#[test]
fn a_worker_is_listed_with_what_its_tree_uses_and_its_last_sign_of_life() {
    let supervisor = Supervisor::start(&Options::new().flag("--cgroup", "off"));
    let mut client = supervisor.connect();
    assert!(list(&mut client).is_empty());
    let command = "sleep 600 & sleep 600 & while :; do :; done";
    let answer = client.execute(&json!({"argv": ["sh", "-c", command], "detach": true})).unwrap();
    wait_until("it has used the processor", || {
        list(&mut client)[0]["cpu_ms"].as_u64().unwrap() >= 100
    });
    let worker = &list(&mut client)[0];
    assert_eq!(worker["task_id"], task_id(&answer), "{worker}");
    assert_eq!(worker["pid"], requests::worker(&answer).pid, "{worker}");
    assert_eq!(worker["state"], "running", "{worker}");
    assert_eq!(worker["containment"], "subreaper", "{worker}");
    assert_eq!(worker["processes"], 3, "{worker}");
    assert_eq!(worker["is_retiring"], false, "{worker}");
    assert!(worker["memory_bytes"].as_u64().unwrap() > 1024 * 1024, "{worker}");
    // With its first sign of life its version is known, and the silence begins anew.
    wait_until("it has given a sign of life", || list(&mut client)[0]["version"].is_string());
    let worker = &list(&mut client)[0];
    assert!(worker["age_ms"].as_u64().unwrap() >= 4_000, "{worker}");
    assert!(worker["silent_ms"].as_u64().unwrap() < 4_000, "{worker}");
    client.by_id("task.cancel", task_id(&answer)).unwrap();
    client.wait_for_end(task_id(&answer));
    wait_until("it is not listed any more", || list(&mut client).is_empty());
}

#[test]
fn a_graceful_restart_lets_the_task_end_and_gives_the_next_one_a_new_keeper() {
    let supervisor = Supervisor::start_default();
    let (mut client, mut gate) = (supervisor.connect(), Fifo::create());
    let running = client.execute(&gated(&gate, "echo done")).unwrap();
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    let mut operator = supervisor.connect();
    let answer = operator.call("worker.restart", &json!({"task_id": task_id(&running)})).unwrap();
    assert_eq!(answer["restarted"], json!([task_id(&running)]));
    assert_eq!(list(&mut operator)[0]["is_retiring"], true);
    let next = operator.execute(&json!({"argv": ["sleep", "600"], "detach": true})).unwrap();
    let parent = processes::parent(requests::worker(&next).pid);
    assert!(parent.is_some_and(|parent| parent != keeper.pid), "{parent:?}");
    gate.release();
    assert_eq!(client.collect_after(running, Vec::new()).end(), ("exit", 0));
    assert!(keeper.wait_gone(cc_tests::PATIENCE), "it goes with its last worker");
    operator.by_id("task.cancel", task_id(&next)).unwrap();
}

#[test]
fn a_restart_of_what_is_no_worker_is_refused_by_name() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let ended = client.run_shell("true");
    let id = ended.task_id();
    let mut code =
        |params: Value| client.call("worker.restart", &params).unwrap_err()["code"].clone();
    assert_eq!(code(json!({"task_id": id})), -32002);
    assert_eq!(code(json!({"task_id": "nonesuch"})), -32014);
    assert_eq!(code(json!({})), -32602);
    assert_eq!(code(json!({"all": true, "task_id": id})), -32602);
    assert_eq!(code(json!({"all": true, "mode": "soon"})), -32602);
}

#[test]
fn a_restart_of_all_now_ends_a_sessions_task_by_name_loses_no_connection_and_batches_complete() {
    let supervisor = Supervisor::start(&batches::options().flag("--max-tasks", 50));
    let notes = Notes::new(&supervisor);
    let names: Vec<String> = (0..12).map(|number| format!("task-{number}")).collect();
    let tasks: Vec<Value> = names.iter().map(|name| notes.shell(name, "sleep 1")).collect();
    let mut owner = supervisor.connect();
    let hooks = json!({"before_task": {"command": "sleep 0.3"}});
    let batch_id = submit(&mut owner, &plan_with(json!({"jobs": 3, "hooks": hooks}), tasks));
    let mut session = supervisor.connect();
    let running = session.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let mut operator = supervisor.connect();
    let mut restart = || {
        let answer = operator.call("worker.restart", &json!({"all": true, "mode": "now"})).unwrap();
        assert!(!answer["restarted"].as_array().unwrap().is_empty());
    };
    wait_until("the batch runs hooks", || list(&mut supervisor.connect()).len() >= 3);
    restart();
    notes.ledger.wait_for_starts(1);
    restart();
    let transcript = session.collect_after(running, Vec::new());
    assert_eq!(transcript.end().0, "worker_restarted");
    assert_eq!(transcript.completed()["verdict"], "canceled");
    assert_eq!(session.run_shell("echo still here").stdout(), "still here\n");
    let over = Over::of(&mut owner, &batch_id);
    assert_eq!(over.outcome(), "succeeded");
    assert!(over.verdicts().iter().all(|verdict| *verdict == "succeeded"), "{:?}", over.verdicts());
    let most = names.iter().map(|name| attempts(over.row(name)).len()).max().unwrap();
    assert!(most > 1, "a task of the batch was restarted");
}

#[test]
fn ccx_lists_and_restarts_workers() {
    let supervisor = Supervisor::start_default();
    let ccx = |arguments: &[&str]| {
        cc_tests::binaries::ccx_command(&supervisor.url()).args(arguments).output().unwrap()
    };
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"], "detach": true})).unwrap();
    let table = text(&ccx(&["workers"]));
    assert!(table.contains(task_id(&answer)) && table.contains("silent for"), "{table}");
    let line: Value = serde_json::from_str(&text(&ccx(&["workers", "--json"]))).unwrap();
    assert_eq!(line["task_id"], task_id(&answer));
    let restarted = ccx(&["workers", "restart", &task_id(&answer)[..20]]);
    assert!(restarted.status.success() && text(&restarted).contains("ends with its task"));
    let restarted = ccx(&["workers", "restart", "--all", "--now"]);
    assert!(restarted.status.success() && text(&restarted).contains("is ended"));
    assert_eq!(client.wait_for_end(task_id(&answer))["reason"], "worker_restarted");
    assert_eq!(ccx(&["workers", "restart", task_id(&answer)]).status.code(), Some(1));
    let stopped = requests::worker(&client.execute(&json!({"argv": ["sleep", "600"]})).unwrap());
    stopped.signal(Signal::KILL);
}
