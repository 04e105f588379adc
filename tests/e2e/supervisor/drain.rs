//! A drain: what runs goes on to its end, nothing new begins, and it can be taken back.

use std::process::{Child, Output, Stdio};

use cc_tests::{
    Supervisor,
    batches::{Notes, Over, get, options, plan, plan_with, submit},
    binaries,
    fifo::Fifo,
    http, wait_until,
};
use serde_json::{Value, json};

fn call(supervisor: &Supervisor, method: &str) -> Value {
    supervisor.connect().call(method, &json!({})).unwrap()
}

fn ccx(supervisor: &Supervisor, arguments: &[&str]) -> Output {
    binaries::ccx_command(&supervisor.url()).args(arguments).output().unwrap()
}

fn spawn_ccx(supervisor: &Supervisor, arguments: &[&str]) -> Child {
    let mut command = binaries::ccx_command(&supervisor.url());
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn new_work_is_refused_with_a_word_to_try_again_and_what_runs_goes_on() {
    let supervisor = Supervisor::start(&options());
    let mut gate = Fifo::create();
    let mut client = supervisor.connect();
    let running = client.execute(&json!({"command": wait(&gate)})).unwrap();
    let progress = call(&supervisor, "supervisor.drain");
    assert_eq!((&progress["draining"], &progress["running"]), (&json!(true), &json!(1)));
    let mut other = supervisor.connect();
    for (method, params) in [
        ("execute", json!({"command": "true"})),
        ("execute", json!({"command": "true", "detach": true})),
        ("batch.submit", plan(vec![json!({"command": "true"})])),
    ] {
        let error = other.call(method, &params).unwrap_err();
        assert_eq!(error["data"]["kind"], "draining", "{method}: {error}");
        assert_eq!(error["data"]["retryable"], true, "{method}: {error}");
        assert!(error["message"].as_str().unwrap().contains("try again"), "{error}");
    }
    let ready = http::get(supervisor.address(), "/readyz", &[]);
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(http::get(supervisor.address(), "/livez", &[]).status, 200);
    gate.release();
    assert_eq!(client.collect(running).end(), ("exit", 0));
    assert_eq!(call(&supervisor, "supervisor.drain_progress")["running"], 0);
    let over = call(&supervisor, "supervisor.undrain");
    assert_eq!(over["draining"], false);
    assert_eq!(http::get(supervisor.address(), "/readyz", &[]).status, 200);
    assert_eq!(other.run_shell("echo again").stdout(), "again\n");
}

#[test]
fn a_running_batch_ends_what_it_has_begun_and_goes_on_after_the_drain() {
    for is_prompt in [false, true] {
        let supervisor = Supervisor::start(&options());
        let notes = Notes::new(&supervisor);
        let mut gate = Fifo::create();
        let next = |name: &str| {
            if is_prompt { notes.prompt(name, ["say: 4"]) } else { notes.shell(name, "true") }
        };
        let tasks = vec![notes.shell("first", &wait(&gate)), next("second"), next("third")];
        let options = json!({"jobs": 1, "hooks": {"after_task": {"argv": ["true"]}}});
        let mut client = supervisor.connect();
        let batch_id = submit(&mut client, &plan_with(options, tasks));
        notes.ledger.wait_for_starts(1);
        let progress = call(&supervisor, "supervisor.drain");
        assert_eq!(progress["under_way"], 1, "{progress}");
        gate.release();
        // The hook that belongs to the task still runs.
        wait_until("nothing is under way", || {
            let progress = call(&supervisor, "supervisor.drain_progress");
            progress["running"] == 0 && progress["under_way"] == 0
        });
        assert_eq!(notes.ledger.starts(), ["first"]);
        let summary = get(&mut client, &batch_id);
        assert_eq!(summary["state"], "running", "{summary}");
        call(&supervisor, "supervisor.undrain");
        let over = Over::of(&mut client, &batch_id);
        assert_eq!(over.outcome(), "succeeded");
        assert_eq!(notes.ledger.starts(), ["first", "second", "third"]);
    }
}

#[test]
fn a_batch_goes_on_with_the_next_supervisor_which_starts_without_the_drain() {
    let options = options();
    let mut supervisor = Supervisor::start(&options);
    let notes = Notes::new(&supervisor);
    let mut gate = Fifo::create();
    let tasks = vec![notes.shell("first", &wait(&gate)), notes.shell("second", "true")];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan_with(json!({"jobs": 1}), tasks));
    notes.ledger.wait_for_starts(1);
    let drain = spawn_ccx(&supervisor, &["drain"]);
    wait_until("the drain has begun", || {
        call(&supervisor, "supervisor.drain_progress")["draining"] == true
    });
    gate.release();
    let output = drain.wait_with_output().unwrap();
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert_eq!(said, "nothing runs; 1 batch waits\n", "{told}");
    assert!(told.starts_with("draining: 1 task runs; 1 batch waits\n"), "{told}");
    drop(client);
    supervisor.leave();
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.outcome(), "succeeded");
    assert_eq!(notes.ledger.starts(), ["first", "second"]);
}

#[test]
fn a_drain_that_waits_no_longer_lists_what_still_runs() {
    let supervisor = Supervisor::start(&options());
    let mut client = supervisor.connect();
    let task = json!({"command": "sleep 600", "label": "the long one", "detach": true});
    let answer = client.execute(&task).unwrap();
    let output = ccx(&supervisor, &["drain", "--timeout", "1s"]);
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(124), "{told}");
    assert!(said.contains("the long one"), "{said}");
    assert!(told.contains("the drain goes on"), "{told}");
    assert_eq!(call(&supervisor, "supervisor.drain_progress")["draining"], true);
    let output = ccx(&supervisor, &["undrain"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(client.run_shell("echo free").stdout(), "free\n");
    let output = ccx(&supervisor, &["drain", "--no-wait"]);
    assert!(text(&output.stdout).starts_with("draining: 1 task runs"), "{output:?}");
    client.by_id("task.cancel", answer["task_id"].as_str().unwrap()).unwrap();
    let output = ccx(&supervisor, &["drain"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_drain_that_somebody_else_ends_is_no_success() {
    let supervisor = Supervisor::start(&options());
    let mut client = supervisor.connect();
    client.execute(&json!({"command": "sleep 600", "detach": true})).unwrap();
    let drain = spawn_ccx(&supervisor, &["drain"]);
    wait_until("the drain has begun", || {
        call(&supervisor, "supervisor.drain_progress")["draining"] == true
    });
    call(&supervisor, "supervisor.undrain");
    let output = drain.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("somebody has ended the drain"), "{output:?}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command line that ends when the gate is opened.
fn wait(gate: &Fifo) -> String {
    format!("read line < {}", gate.path())
}
