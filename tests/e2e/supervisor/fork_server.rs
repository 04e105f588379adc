//! The process that workers are forked by costs no task when it is replaced or has died.

use std::{fs, path::Path};

use cc_tests::{
    Client, Options, PATIENCE, Supervisor,
    binaries::{copy_program, install_worker},
    fifo::Fifo,
    processes::{self, Process},
    wait_until,
};
use rustix::process::Signal;
use serde_json::json;

fn keeper(supervisor: &Supervisor) -> Process {
    let mut found = supervisor.keepers();
    assert_eq!(found.len(), 1, "there is one");
    Process::open(found.remove(0)).unwrap()
}

fn run(client: &mut Client) {
    let answer = client.execute(&json!({"argv": ["echo", "done"]})).unwrap();
    let transcript = client.collect_after(answer, Vec::new());
    assert_eq!((transcript.end(), transcript.stdout()), (("exit", 0), "done\n".to_owned()));
}

#[test]
fn all_workers_come_from_one_and_are_its_children() {
    let supervisor = Supervisor::start(&Options::new());
    let mut client = supervisor.connect();
    run(&mut client);
    let first = keeper(&supervisor);
    let tasks = [(); 3].map(|()| {
        let mut client = supervisor.connect();
        let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
        (client, answer)
    });
    for (_, answer) in &tasks {
        let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
        let worker = processes::parent(main).unwrap();
        assert_eq!(processes::parent(worker), Some(first.pid));
        assert_eq!(processes::name(worker).as_deref(), Some("cc-worker"));
    }
    assert_eq!(keeper(&supervisor).pid, first.pid);
}

#[test]
fn one_that_was_killed_costs_no_task_and_is_replaced() {
    let supervisor = Supervisor::start(&Options::new());
    let mut client = supervisor.connect();
    run(&mut client);
    let mut gate = Fifo::create();
    let mut other = supervisor.connect();
    let command = format!("read go < {}; echo done", gate.path());
    let running = other.execute(&json!({ "command": command })).unwrap();
    let killed = keeper(&supervisor);
    killed.signal(Signal::KILL);
    run(&mut client);
    assert!(killed.wait_gone(PATIENCE), "it is reaped");
    assert_ne!(keeper(&supervisor).pid, killed.pid);
    gate.release();
    assert_eq!(other.collect_after(running, Vec::new()).stdout(), "done\n", "its workers live on");
}

#[test]
fn one_that_hangs_is_replaced_and_the_task_runs() {
    let supervisor = Supervisor::start(&Options::new());
    let mut client = supervisor.connect();
    run(&mut client);
    let hanging = keeper(&supervisor);
    hanging.signal(Signal::STOP);
    run(&mut client);
    assert!(hanging.wait_gone(PATIENCE));
}

#[test]
fn when_the_program_was_replaced_the_next_worker_is_of_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let supervisor = Supervisor::start(&Options::new().flag("--worker", program.display()));
    let mut client = supervisor.connect();
    run(&mut client);
    let old = keeper(&supervisor);
    install_worker(&program);
    run(&mut client);
    assert!(old.wait_gone(PATIENCE));
    assert_ne!(keeper(&supervisor).pid, old.pid);
}

#[test]
fn a_program_that_is_no_worker_fails_the_task_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let options = Options::new().flag("--worker", program.display()).flag("--cgroup", "off");
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    fs::remove_file(&program).unwrap();
    let missing = client.execute(&json!({"argv": ["true"]})).unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
    copy_program(Path::new("/bin/false"), &program);
    let other = client.execute(&json!({"argv": ["true"]})).unwrap_err();
    assert!(other.to_string().contains("keeper"), "{other}");
    install_worker(&program);
    run(&mut client);
}

#[test]
fn the_death_of_a_worker_does_it_no_harm() {
    let supervisor = Supervisor::start(&Options::new());
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    let before = keeper(&supervisor);
    Process::open(supervisor.workers()[0]).unwrap().signal(Signal::KILL);
    let transcript = client.collect_after(answer, Vec::new());
    assert_eq!(transcript.completed()["reason"], "worker_died");
    assert_eq!(keeper(&supervisor).pid, before.pid);
    run(&mut client);
}

#[test]
fn it_does_not_outlive_its_supervisor() {
    for is_killed in [true, false] {
        let mut supervisor = Supervisor::start(&Options::new());
        run(&mut supervisor.connect());
        let before = keeper(&supervisor);
        if is_killed {
            supervisor.kill();
            wait_until("it is gone", || processes::state(before.pid).is_none());
        } else {
            assert!(supervisor.stop().success());
            assert!(processes::state(before.pid).is_none(), "it goes before its supervisor");
        }
    }
}
