//! When a batch does not give every task its turn: failures, money, time, refused credentials.

use cc_tests::{
    Supervisor,
    batches::{Notes, Over, attempts, plan_with, run, submit, supervisor},
    fifo::Fifo,
};
use serde_json::{Value, json};

/// Two failures among successes.
fn two_of_five_fail(notes: &Notes) -> Vec<Value> {
    vec![
        notes.prompt("good", ["say: 4"]),
        notes.shell("bad", "exit 3"),
        notes.prompt("better", ["say: 4"]),
        notes.prompt("worse", ["error: no"]),
        notes.prompt("best", ["say: 4"]),
    ]
}

#[test]
fn without_a_halt_every_task_has_its_turn() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let over = run(&supervisor, &plan_with(json!({"halt": "never"}), two_of_five_fail(&notes)));
    assert_eq!(over.verdicts(), ["succeeded", "failed", "succeeded", "failed", "succeeded"]);
    assert_eq!(over.outcome(), "failed");
    notes.ledger.assert_sequence(["good", "bad", "better", "worse", "best"]);
}

#[test]
fn after_as_many_failures_as_a_halt_names_no_task_begins() {
    let supervisor = supervisor();
    for (halt, verdicts) in [
        ("soon,fail=1", ["succeeded", "failed", "skipped", "skipped", "skipped"]),
        ("soon,fail=2", ["succeeded", "failed", "succeeded", "failed", "skipped"]),
        ("now,fail=2", ["succeeded", "failed", "succeeded", "failed", "skipped"]),
        ("soon,fail=3", ["succeeded", "failed", "succeeded", "failed", "succeeded"]),
    ] {
        let notes = Notes::new(&supervisor);
        let over = run(&supervisor, &plan_with(json!({ "halt": halt }), two_of_five_fail(&notes)));
        assert_eq!(over.verdicts(), verdicts, "{halt}");
        let has_halted = verdicts.contains(&"skipped");
        assert_eq!(over.outcome(), if has_halted { "halted" } else { "failed" }, "{halt}");
        assert_eq!(over.batch["reason"].is_string(), has_halted, "{halt}: {}", over.batch);
    }
}

/// A task that fails beside one that waits for the returned gate.
fn fail_beside_a_gated_one(supervisor: &Supervisor, halt: &str) -> (Notes, Fifo, String) {
    let (notes, gate, ready) = (Notes::new(supervisor), Fifo::create(), Fifo::create());
    let tasks = [
        notes.shell("gated", &format!("echo ready > {}; read go < {}", ready.path(), gate.path())),
        notes.shell("bad", &format!("read ready < {}; exit 3", ready.path())),
        notes.shell("never", "true"),
    ];
    let plan = plan_with(json!({"jobs": 2, "halt": halt}), tasks);
    let batch_id = submit(&mut supervisor.connect(), &plan);
    (notes, gate, batch_id)
}

#[test]
fn halt_now_ends_what_runs() {
    let supervisor = supervisor();
    let (notes, _gate, batch_id) = fail_beside_a_gated_one(&supervisor, "now,fail=1");
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    assert_eq!(over.verdicts(), ["canceled", "failed", "skipped"]);
    assert_eq!(over.row("gated")["error"], "ended with its batch: it was halted");
    assert_eq!(over.outcome(), "halted");
    assert_eq!(notes.ledger.starts_of("never"), 0);
}

#[test]
fn who_ends_a_task_is_told_apart() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    for (method, error) in [
        ("batch.cancel", "ended with its batch: it was canceled"),
        ("task.cancel", "canceled by the client"),
    ] {
        let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
        let tasks = [notes.shell("gated", &format!("read go < {}", gate.path()))];
        let batch_id = submit(&mut client, &plan_with(json!({}), tasks));
        notes.ledger.wait_for_starts(1);
        let batch = cc_tests::batches::get(&mut client, &batch_id);
        let task_id = batch["running"][0]["task_id"].as_str().unwrap();
        let name =
            if method == "batch.cancel" { ("batch_id", &*batch_id) } else { ("task_id", task_id) };
        client.call(method, &json!({name.0: name.1})).unwrap();
        let over = Over::of(&mut client, &batch_id);
        assert_eq!(over.verdicts(), ["canceled"]);
        assert_eq!(over.row("gated")["error"], error, "{method}");
    }
}

#[test]
fn halt_soon_lets_what_runs_end() {
    let supervisor = supervisor();
    let (notes, mut gate, batch_id) = fail_beside_a_gated_one(&supervisor, "soon,fail=1");
    let mut client = supervisor.connect();
    cc_tests::wait_until("the other one has failed", || {
        cc_tests::batches::get(&mut client, &batch_id)["counts"]["failed"] == 1
    });
    gate.release();
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded", "failed", "skipped"]);
    assert_eq!(over.outcome(), "halted");
    assert_eq!(notes.ledger.starts_of("never"), 0);
}

#[test]
fn no_task_begins_after_the_money_is_spent() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    // Each costs a quarter of a dollar.
    let tasks: Vec<Value> =
        (0..5).map(|number| notes.prompt(&format!("t{number}"), ["say: 4"])).collect();
    let over = run(&supervisor, &plan_with(json!({"max_cost_usd": 0.6}), tasks));
    assert_eq!(over.verdicts(), ["succeeded", "succeeded", "succeeded", "skipped", "skipped"]);
    assert_eq!(over.batch["cost_usd"], 0.75);
    assert_eq!(over.outcome(), "stopped");
    assert_eq!(over.reason(), "0.75 USD are spent, and max_cost_usd is 0.6");
}

#[test]
fn when_the_time_of_a_batch_is_over_what_runs_is_ended() {
    let supervisor = supervisor();
    let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
    let tasks = [
        notes.shell("endless", &format!("read go < {}", gate.path())),
        notes.prompt("never", ["say: 4"]),
    ];
    let over = run(&supervisor, &plan_with(json!({"max_time_s": 1.5}), tasks));
    assert_eq!(over.verdicts(), ["canceled", "skipped"]);
    assert_eq!(over.outcome(), "stopped");
    assert!(over.reason().contains("time"), "{}", over.reason());
    assert_eq!(over.row("endless")["error"], "ended with its batch: max_time_s is over");
    notes.ledger.assert_sequence(["endless"]);
}

#[test]
fn refused_credentials_stop_the_batch_before_the_cli_gives_up_and_the_reason_comes_first() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let tasks = [
        notes.prompt("good", ["say: 4"]),
        // The CLI would go on trying for a minute, and this one for ever.
        notes.prompt("locked-out", ["retry without end: "]),
        notes.prompt("never", ["say: 4"]),
    ];
    let over = run(&supervisor, &plan_with(json!({}), tasks));
    assert_eq!(over.verdicts(), ["succeeded", "auth", "skipped"]);
    assert_eq!(over.outcome(), "stopped");
    assert_eq!(over.reason().lines().count(), 1, "{}", over.reason());
    assert!(over.reason().contains("credentials"), "{}", over.reason());
    // They were good for another task: it may have lost a race for a renewed token, once.
    assert_eq!(attempts(over.row("locked-out")).len(), 2, "a wrong key does not become right");
    assert_eq!(over.row("locked-out")["attempts"][1]["class"], "final");
    assert_eq!(over.row("locked-out")["error"], "the API refused the credentials");
    notes.ledger.assert_sequence(["good", "locked-out", "locked-out"]);
}

#[test]
fn the_cli_is_let_retry_where_the_batch_says_so() {
    let supervisor = supervisor();
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let play = format!("retry until: {}", gate.path());
    let tasks = [notes.prompt("renewed", [&play]), notes.prompt("next", ["say: 4"])];
    let mut client = supervisor.connect();
    let plan = plan_with(json!({"auth": "let_cli_retry"}), tasks);
    let batch_id = submit(&mut client, &plan);
    notes.ledger.wait_for_starts(1);
    let running = cc_tests::batches::get(&mut client, &batch_id)["running"].clone();
    let mut watcher = supervisor.connect();
    watcher.attach(running[0]["task_id"].as_str().unwrap(), 0).unwrap();
    watcher.recv_until_method("task.retrying");
    gate.release();
    Over::of(&mut client, &batch_id).assert_all_succeeded_at_once();
}

#[test]
fn a_result_that_says_auth_stops_the_batch_too() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let tasks = [notes.prompt("locked-out", ["status 401: "]), notes.prompt("never", ["say: 4"])];
    let over = run(&supervisor, &plan_with(json!({"auth": "let_cli_retry"}), tasks));
    assert_eq!(over.verdicts(), ["auth", "skipped"]);
    assert_eq!(over.outcome(), "stopped");
    assert!(over.reason().contains("credentials"), "{}", over.reason());
}
