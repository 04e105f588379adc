//! A worker program that is missing or wrong stops starts, batches wait for it, and all goes on when it is put back.

use std::{fs, path::Path};

use cc_tests::{
    Client, Supervisor,
    batches::{self, Notes, Over, plan_with, submit},
    binaries::{install_script, install_worker},
    http, wait_until,
};
use serde_json::{Value, json};

fn broken(supervisor: &Supervisor) -> bool {
    http::get(supervisor.address(), "/readyz", &[]).status == 503
}

/// Starts tasks until the answer says when to try again.
fn refusal(client: &mut Client) -> Value {
    for _ in 0..20 {
        let error = client.execute(&json!({"argv": ["true"], "detach": true})).unwrap_err();
        assert_eq!(error["data"]["retryable"], true, "{error}");
        if error["data"]["retry_after_ms"].is_u64() {
            return error;
        }
    }
    panic!("starts were not refused")
}

/// What `break_it` makes of the worker program is noticed, reported and waited for.
fn is_survived(break_it: impl Fn(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let supervisor = Supervisor::start(&batches::options().flag("--worker", program.display()));
    let notes = Notes::new(&supervisor);
    let tasks: Vec<Value> =
        (0..10).map(|number| notes.shell(&format!("task-{number}"), "sleep 0.2")).collect();
    let mut owner = supervisor.connect();
    let batch_id = submit(&mut owner, &plan_with(json!({"jobs": 2}), tasks));
    wait_until("the batch runs", || !supervisor.workers().is_empty());
    fs::remove_file(&program).unwrap();
    break_it(&program);
    let mut client = supervisor.connect();
    let error = refusal(&mut client);
    assert_eq!(error["data"]["kind"], "spawn_failed", "{error}");
    assert!(broken(&supervisor));
    install_worker(&program);
    wait_until("it is tried and works", || !broken(&supervisor));
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let over = Over::of(&mut owner, &batch_id);
    assert_eq!(over.outcome(), "succeeded", "{}", supervisor.log());
    assert!(over.verdicts().iter().all(|verdict| *verdict == "succeeded"), "{:?}", over.verdicts());
}

#[test]
fn a_worker_program_that_is_missing() {
    is_survived(|_| {});
}

#[test]
fn a_worker_program_that_cannot_be_executed() {
    is_survived(|program| fs::write(program, "no program").unwrap());
}

#[test]
fn a_worker_program_that_ends_at_once() {
    is_survived(|program| install_script(program, "#!/bin/sh\nexit 3\n"));
}

#[test]
fn a_worker_program_that_prints_garbage() {
    is_survived(|program| {
        install_script(program, "#!/bin/sh\necho garbage >&0; echo garbage; exit 0\n");
    });
}
