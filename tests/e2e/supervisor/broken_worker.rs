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
fn how_a_wrong_program_ended_is_said_once_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_script(&program, "#!/bin/sh\nexit 3\n");
    let supervisor = Supervisor::start(&batches::options().flag("--worker", program.display()));
    let mut client = supervisor.connect();
    let error = client.execute(&json!({"argv": ["true"], "detach": true})).unwrap_err();
    let text = error["message"].as_str().unwrap();
    assert!(text.contains("the keeper of the workers exited with code 3"), "{error}");
    refusal(&mut client);
    let status = client.call("supervisor.status", &json!({})).unwrap();
    let problems = status["problems"].as_array().unwrap();
    let broken = problems.iter().find(|problem| problem["condition"] == "worker_broken").unwrap();
    let text = broken["text"].as_str().unwrap();
    assert!(text.contains("exited with code 3") && !text.contains("os error"), "{text}");
    assert_eq!(text.matches("install").count(), 1, "{text}");
    fs::remove_file(&program).unwrap();
    install_script(&program, "#!/bin/sh\nkill -SEGV $$\n");
    wait_until("it is tried again", || {
        let status = client.call("supervisor.status", &json!({})).unwrap();
        status["problems"].to_string().contains("was killed by SIGSEGV")
    });
}

#[test]
fn no_worker_is_restarted_while_the_program_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let supervisor = Supervisor::start(&batches::options().flag("--worker", program.display()));
    let mut client = supervisor.connect();
    let restart = json!({"all": true});
    for break_it in [|_: &Path| {}, |program: &Path| fs::write(program, "no program").unwrap()] {
        fs::remove_file(&program).unwrap_or_default();
        break_it(&program);
        let error = client.call("worker.restart", &restart).unwrap_err();
        assert_eq!(error["code"], -32017, "{error}");
        assert_eq!(error["data"]["retryable"], true, "{error}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(program.to_str().unwrap()), "which program: {text}");
    }
    fs::remove_file(&program).unwrap();
    install_worker(&program);
    client.call("worker.restart", &restart).unwrap();
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
}

#[test]
fn a_worker_program_that_prints_garbage() {
    is_survived(|program| {
        install_script(program, "#!/bin/sh\necho garbage >&0; echo garbage; exit 0\n");
    });
}
