//! `ccx batch` with a supervisor that lives longer than it: submit, leave, come back, look, end, go on.

use std::process::Child;

use cc_tests::{
    Cut, Proxy, Terminal,
    batches::{get, options},
    binaries,
    fifo::Fifo,
    processes::Process,
};
use rustix::process::Signal;
use serde_json::json;

use super::{
    desk::{Desk, json_lines},
    output::{shown, stdout},
};

#[test]
fn a_batch_that_is_left_runs_on_and_can_be_watched_to_its_end_by_several() {
    let desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let id = desk.detach(&["--name", "night"]);
    desk.notes.ledger.wait_for_starts(2);
    let listed = stdout(&desk.run(&["batches"], 0));
    assert!(listed.contains(&id) && listed.contains("night"), "{listed}");
    let watchers: Vec<Child> = (0..2).map(|_| desk.spawn(&["batch", "attach", &id])).collect();
    gate.release();
    for watcher in watchers {
        let output = watcher.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    }
    desk.over(&id).assert_all_succeeded_at_once();
    desk.notes.ledger.assert_sequence(["first", "gated", "last"]);
    // What is over is listed only with all, and can still be attached to.
    let listed = stdout(&desk.run(&["batches"], 0));
    assert!(!listed.contains(&id), "{listed}");
    let listed = json_lines(&stdout(&desk.run(&["batches", "--all", "--json"], 0)));
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["batch_id"], &listed[0]["outcome"]), (&json!(id), &json!("succeeded")));
    desk.run(&["batch", "attach", &id], 0);
}

#[test]
fn the_exit_code_is_the_number_of_tasks_that_did_not_succeed_also_for_whoever_attaches() {
    let desk = Desk::new();
    let failing = |number: usize| json!({"argv": ["sh", "-c", format!("exit {}", 1 + number % 3)]});
    let tasks = [json!({"argv": ["true"]})].into_iter().chain((0..3).map(failing));
    desk.write_tasks(tasks);
    desk.run(&["batch", "tasks.jsonl"], 3);
    let id = desk.only_batch();
    desk.run(&["batch", "attach", &id], 3);
    desk.write_tasks((0..103).map(failing));
    desk.run(&["batch", "tasks.jsonl"], 101);
}

#[test]
fn cancel_ends_a_batch_with_everything_that_it_started() {
    let desk = Desk::new();
    let gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let id = desk.detach(&[]);
    desk.notes.ledger.wait_for_starts(2);
    let watcher = desk.spawn(&["batch", "attach", &id]);
    desk.run(&["batch", "cancel", &id], 0);
    let over = desk.over(&id);
    assert_eq!(over.verdicts(), ["succeeded", "canceled", "skipped"]);
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    // It is over, and so it cannot be ended.
    let output = desk.command(&["batch", "cancel", &id]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
}

#[test]
fn ctrl_c_without_a_terminal_cancels_and_waits_until_nothing_is_left() {
    let desk = Desk::new();
    let gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let child = desk.spawn(&["batch", "tasks.jsonl"]);
    desk.notes.ledger.wait_for_starts(2);
    Process::open(child.id().cast_signed()).unwrap().signal(Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    let batch = get(&mut desk.supervisor.connect(), &desk.only_batch());
    assert_eq!((&batch["state"], &batch["outcome"]), (&json!("over"), &json!("canceled")));
    assert_eq!(desk.notes.ledger.starts(), ["first", "gated"]);
}

#[test]
fn a_killed_client_costs_nothing_and_its_batch_can_be_attached_to() {
    let desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let mut child = desk.spawn(&["batch", "tasks.jsonl", "--joblog", "night.joblog"]);
    desk.notes.ledger.wait_for_starts(2);
    child.kill().unwrap();
    child.wait().unwrap();
    let id = desk.only_batch();
    gate.release();
    desk.run(&["batch", "attach", &id], 0);
    desk.over(&id).assert_all_succeeded_at_once();
    desk.notes.ledger.assert_sequence(["first", "gated", "last"]);
}

#[test]
fn a_batch_is_shown_to_its_end_although_connections_are_cut() {
    let desk = Desk::new();
    let proxy = Proxy::start(desk.supervisor.address());
    let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    desk.write_tasks(names.iter().map(|name| desk.notes.shell(name, "sleep 0.05")));
    for _ in 0..8 {
        proxy.plan(8_000, Cut::Reset);
    }
    let output =
        desk.command_at(&proxy.url(), &["batch", "tasks.jsonl", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(proxy.accepted() > 1, "{} connections", proxy.accepted());
    desk.over(&desk.only_batch()).assert_all_succeeded_at_once();
    desk.notes.ledger.assert_sequence(names);
}

#[test]
fn a_batch_is_shown_to_its_end_although_its_supervisor_is_killed() {
    let options = options();
    let mut desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let child = desk.spawn(&["batch", "tasks.jsonl"]);
    desk.notes.ledger.wait_for_starts(2);
    desk.supervisor.kill();
    desk.supervisor.start_again(&options);
    gate.release();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    desk.notes.ledger.assert_sequence(["first", "gated", "last"]);
}

#[test]
fn the_same_idempotency_key_shows_the_same_batch() {
    let desk = Desk::new();
    desk.write_tasks([desk.notes.prompt("once", ["say: 4"])]);
    for _ in 0..2 {
        desk.run(&["batch", "tasks.jsonl", "--idempotency-key", "monday"], 0);
    }
    assert_eq!(desk.detach(&["--idempotency-key", "monday"]), desk.only_batch());
    desk.notes.ledger.assert_sequence(["once"]);
}

#[test]
fn on_a_terminal_ctrl_c_asks_and_a_detached_batch_runs_on() {
    let desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let line = format!(
        "'{}' --url {} batch tasks.jsonl",
        binaries::ccx().display(),
        desk.supervisor.url()
    );
    let mut terminal = Terminal::start(&line, desk.supervisor.scratch());
    desk.notes.ledger.wait_for_starts(2);
    terminal.press("\x03");
    terminal.wait_for("[d]etach");
    terminal.press("d\n");
    terminal.wait();
    let id = desk.only_batch();
    assert_eq!(get(&mut desk.supervisor.connect(), &id)["state"], "running");
    gate.release();
    desk.over(&id).assert_all_succeeded_at_once();
}
