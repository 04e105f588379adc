//! Workers that are started ahead of their tasks: a task is run by one that was there, which runs no other, and
//! nobody ever has anything to do with those that wait.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use cc_tests::{
    Client, Options, PATIENCE, Supervisor,
    binaries::install_worker,
    fifo::Fifo,
    http,
    processes::{self, Process},
    wait_until,
};
use rustix::process::Signal;
use serde_json::json;

/// Waits until so many wait for a task.
fn spares(supervisor: &Supervisor, count: usize) -> Vec<i32> {
    let mut spares = Vec::new();
    wait_until("there are as many spare workers as there should be", || {
        // First the count: in `/proc` a worker that has ended its task and not exited yet looks like one that waits.
        let is_counted = counted(supervisor) == count;
        spares = supervisor.spare_workers();
        is_counted && spares.len() == count
    });
    spares.sort_unstable();
    spares
}

/// What the metrics say.
fn counted(supervisor: &Supervisor) -> usize {
    let metrics = http::get(supervisor.address(), "/metrics", &[]).body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("cc_executor_spare_workers "));
    line.unwrap().parse().unwrap()
}

/// Runs a task to its end; says which worker it had.
fn worker_of_a_task(client: &mut Client) -> i32 {
    let mut gate = Fifo::create();
    let command = format!("read go < {}; echo done", gate.path());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    let worker = processes::parent(main).unwrap();
    gate.release();
    let transcript = client.collect_after(answer, Vec::new());
    assert_eq!((transcript.end(), transcript.stdout()), (("exit", 0), "done\n".to_owned()));
    worker
}

#[test]
fn a_task_is_run_by_a_worker_that_was_there_before_it_and_each_worker_runs_one() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let spare = spares(&supervisor, 1)[0];
        assert!(!seen.contains(&spare), "a worker serves no second task");
        assert_eq!(worker_of_a_task(&mut client), spare);
        seen.push(spare);
    }
}

#[test]
fn as_many_wait_as_were_asked_for_and_the_metrics_count_them() {
    for count in [0, 3] {
        let supervisor = Supervisor::start(&Options::new().flag("--spare-workers", count));
        worker_of_a_task(&mut supervisor.connect());
        assert_eq!(spares(&supervisor, count).len(), count);
    }
}

#[test]
fn one_that_has_died_costs_no_task_and_is_replaced() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let spare = spares(&supervisor, 1)[0];
    let process = Process::open(spare).unwrap();
    process.signal(Signal::KILL);
    assert!(process.wait_gone(PATIENCE), "it dies some time after it was told to");
    assert_ne!(worker_of_a_task(&mut client), spare);
    assert_ne!(spares(&supervisor, 1)[0], spare);
    wait_until("the dead one is reaped", || processes::state(spare).is_none());
}

#[test]
fn one_whose_program_was_replaced_meanwhile_runs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let supervisor = Supervisor::start(&Options::new().flag("--worker", program.display()));
    let mut client = supervisor.connect();
    let old = Process::open(spares(&supervisor, 1)[0]).unwrap();
    install_worker(&program);
    assert_ne!(worker_of_a_task(&mut client), old.pid);
    assert!(old.wait_gone(PATIENCE), "it is not kept either");
    let new = spares(&supervisor, 1)[0];
    assert_eq!(worker_of_a_task(&mut client), new);
}

#[test]
fn a_sweep_after_a_dead_worker_does_not_take_them_for_orphans() {
    let supervisor = Supervisor::start(&Options::new().flag("--spare-workers", 2));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let waiting = spares(&supervisor, 2);
    let worker = supervisor.workers()[0];
    Process::open(worker).unwrap().signal(Signal::KILL);
    let transcript = client.collect_after(answer, Vec::new());
    assert_eq!(transcript.completed()["reason"], "worker_died");
    assert_eq!(spares(&supervisor, 2), waiting);
    assert!(waiting.contains(&worker_of_a_task(&mut client)));
}

#[test]
fn none_outlives_its_supervisor_or_is_adopted_by_the_next() {
    let options = Options::new().flag("--spare-workers", 2);
    let mut supervisor = Supervisor::start(&options);
    let mut gate = Fifo::create();
    let command = format!("read go < {}; echo done", gate.path());
    let answer = supervisor.connect().execute(&json!({"command": command, "detach": true}));
    let task_id = answer.unwrap()["task_id"].as_str().unwrap().to_owned();
    for is_killed in [true, false] {
        let waiting: Vec<Process> =
            spares(&supervisor, 2).into_iter().filter_map(Process::open).collect();
        let worker = supervisor.workers_anywhere();
        assert_eq!(worker.len(), 1);
        if is_killed {
            supervisor.kill()
        } else {
            supervisor.leave()
        }
        let patience = if is_killed { PATIENCE } else { std::time::Duration::ZERO };
        assert!(waiting.iter().all(|spare| spare.wait_gone(patience)));
        assert_eq!(supervisor.workers_anywhere(), worker, "the task has its worker");
        supervisor.start_again(&options);
        let mut client = supervisor.connect();
        let running = client.call("task.list", &json!({"state": "running"})).unwrap();
        assert_eq!(running["tasks"].as_array().unwrap().len(), 1, "{running}");
    }
    gate.release();
    let mut client = supervisor.connect();
    wait_until("the task has ended well", || {
        client.task(&task_id).is_ok_and(|task| task["verdict"] == "succeeded")
    });
    assert!(!supervisor.log().contains("task spec"), "a spare says nothing: {}", supervisor.log());
    // Fails if anything is left.
    assert!(supervisor.stop().success());
}
