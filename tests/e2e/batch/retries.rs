//! What is tried again, and when: by class and never blindly; all batches wait for the end of a limit.

use cc_tests::{
    Options, Supervisor,
    batches::{
        Notes, Over, attach, attempts, classes, get, plan, plan_with, progress_until, run, submit,
        supervisor, with,
    },
};
use serde_json::{Value, json};

#[test]
fn what_passes_by_itself_is_tried_again_in_a_fresh_process_and_each_attempt_is_on_record() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let kinds = [
        ("busy", "status 429: "),
        ("broken", "status 500: "),
        ("overloaded", "status 529: "),
        ("offline", "connection error: "),
        ("mute", "no result: "),
    ];
    let mut tasks: Vec<Value> =
        kinds.iter().map(|(name, play)| notes.prompt(name, [*play, "say: at last"])).collect();
    // EX_TEMPFAIL of sysexits.h.
    tasks.push(notes.shell(
        "later",
        &format!(
            "test -e {0} || {{ touch {0}; exit 75; }}",
            supervisor.scratch().join("tried").display()
        ),
    ));
    let over = run(&supervisor, &plan_with(json!({"jobs": 6, "claude_jobs": 6}), tasks));
    assert_eq!(over.outcome(), "succeeded", "{:#?}", over.rows);
    for row in &over.rows {
        assert_eq!(classes(row), [Some("transient"), None], "{row}");
        let [first, second] = &attempts(row)[..] else { unreachable!() };
        assert_eq!((&first["attempt"], &second["attempt"]), (&json!(1), &json!(2)));
        assert_ne!(first["task_id"], second["task_id"]);
        assert_eq!(second["verdict"], "succeeded");
        assert!(first["wait_until_ms"].as_u64().unwrap() <= second["started_ms"].as_u64().unwrap());
    }
    assert_eq!(over.row("busy")["result"], "at last");
    assert_eq!(over.row("mute")["attempts"][0]["verdict"], "no_result");
    assert_eq!(over.batch["retries"], 6);
    // Both attempts can be looked at for themselves.
    let mut client = supervisor.connect();
    for attempt in attempts(over.row("broken")) {
        let task = client.task(attempt["task_id"].as_str().unwrap()).unwrap();
        assert_eq!(task["verdict"], attempt["verdict"], "{task}");
    }
}

#[test]
fn what_does_not_pass_by_itself_is_not_tried_again() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let plays = [
        ("failed", "error: no", "failed"),
        ("turns", "max turns: ", "failed"),
        ("half-done", "no result after a tool: ", "no_result"),
        ("liar", "error with exit 0: no", "failed"),
    ];
    let mut tasks: Vec<Value> =
        plays.iter().map(|(name, play, _)| notes.prompt(name, [*play, "say: wrong"])).collect();
    tasks.push(notes.shell("exit", "exit 3"));
    tasks.push(json!({"name": "missing", "argv": ["no-such-program-anywhere"]}));
    tasks.push(with(notes.prompt("slow", ["silence: ", "say: wrong"]), json!({"timeout": 1})));
    let over = run(&supervisor, &plan_with(json!({"defaults": {"retries": 5}}), tasks));
    for (name, _, verdict) in plays {
        assert_eq!(over.row(name)["verdict"], verdict, "{name}");
    }
    assert_eq!(over.row("exit")["verdict"], "failed");
    assert_eq!(over.row("exit")["exit_code"], 3);
    assert_eq!(over.row("missing")["verdict"], "spawn_failed");
    assert_eq!(over.row("slow")["verdict"], "timed_out");
    for row in &over.rows {
        assert_eq!(classes(row), [Some("final")], "{row}");
    }
    assert_eq!(over.batch["retries"], 0);
}

#[test]
fn attempts_are_counted_and_the_last_one_is_the_verdict() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let tasks = [
        with(notes.prompt("none", ["status 500: "]), json!({"retries": 0})),
        with(notes.prompt("one", ["status 500: "]), json!({"retries": 1})),
        with(
            notes.prompt("slow", ["silence: ", "say: 4"]),
            json!({"retries": 1, "timeout": 1, "retry_timed_out": true}),
        ),
    ];
    let over = run(&supervisor, &plan(tasks));
    assert_eq!(over.verdicts(), ["failed", "failed", "succeeded"]);
    let counts: Vec<usize> = over.rows.iter().map(|row| attempts(row).len()).collect();
    assert_eq!(counts, [1, 2, 2]);
    notes.ledger.assert_sequence(["none", "one", "one", "slow", "slow"]);
}

/// Runs a task that meets a limit at its first two starts.
fn waits_out(play: &str) -> (Supervisor, Over) {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let tasks = [
        // Waits are no attempts: none would be left.
        with(notes.prompt("limited", [play, "say: at last"]), json!({"retries": 0})),
        notes.prompt("next", ["say: 4"]),
    ];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    attach(&mut client, &batch_id);
    let messages =
        progress_until(&mut client, &batch_id, |params| !params["batch"]["waits"].is_null());
    let waiting = &messages.last().unwrap()["params"]["batch"];
    assert_eq!(waiting["state"], "waiting_limit", "{waiting}");
    assert!(waiting["waits"]["until_ms"].is_u64(), "{waiting}");
    assert!(waiting["waits"]["reason"].as_str().unwrap().contains("limit"), "{waiting}");
    let over = Over::of_attached(&mut client, &batch_id);
    assert_eq!(over.outcome(), "succeeded");
    let row = over.row("limited");
    assert_eq!(classes(row), [Some("limit"), None], "{row}");
    let [refused, done] = &attempts(row)[..] else { unreachable!() };
    assert_eq!(refused["verdict"], "rate_limited");
    assert_eq!(done["attempt"], 1, "a wait is no attempt: {row}");
    assert!(refused["wait_until_ms"].as_u64().unwrap() <= done["started_ms"].as_u64().unwrap());
    notes.ledger.assert_sequence(["limited", "limited", "next"]);
    (supervisor, over)
}

/// Milliseconds from the end of the refused attempt to when the task was to try again.
fn waited_ms(over: &Over) -> u64 {
    let refused = &attempts(over.row("limited"))[0];
    refused["wait_until_ms"].as_u64().unwrap() - refused["ended_ms"].as_u64().unwrap()
}

/// The limit, at least a second, and up to half a minute so that not all batches come at once.
const LONGEST_WAIT_MS: u64 = 3_000 + 31_000;

#[test]
fn a_limit_with_a_reset_time_is_waited_out() {
    let (_supervisor, over) = waits_out("limit for seconds: 3");
    assert!((1_000..=LONGEST_WAIT_MS).contains(&waited_ms(&over)), "{}", waited_ms(&over));
}

#[test]
fn a_limit_that_is_told_in_words_with_a_zone_is_waited_out() {
    let (_supervisor, over) = waits_out("limit in words for seconds: 3");
    assert!((1_000..=LONGEST_WAIT_MS).contains(&waited_ms(&over)), "{}", waited_ms(&over));
}

#[test]
fn a_limit_in_the_oldest_form_is_waited_out() {
    let (_supervisor, over) = waits_out("limit after a bar for seconds: 3");
    assert!((1_000..=LONGEST_WAIT_MS).contains(&waited_ms(&over)), "{}", waited_ms(&over));
}

#[test]
fn a_batch_that_waits_for_days_is_canceled_at_once() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let tasks =
        [notes.prompt("limited", ["limit for seconds: 500000"]), notes.prompt("never", ["say: 4"])];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    attach(&mut client, &batch_id);
    let messages =
        progress_until(&mut client, &batch_id, |params| !params["batch"]["waits"].is_null());
    let batch = &messages.last().unwrap()["params"]["batch"];
    let until_ms = batch["waits"]["until_ms"].as_u64().unwrap();
    assert!(until_ms > batch["submitted_ms"].as_u64().unwrap() + 400_000_000, "{batch}");
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
    let over = Over::of_attached(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["rate_limited", "skipped"], "the last attempt's verdict stands");
    assert_eq!(over.outcome(), "canceled");
}

#[test]
fn a_limit_that_one_batch_meets_holds_up_every_other_one_too_but_no_program() {
    let supervisor = supervisor();
    let (first, second) = (Notes::new(&supervisor), Notes::new(&supervisor));
    let mut client = supervisor.connect();
    let limited = first.prompt("limited", ["limit for seconds: 3", "say: at last"]);
    let limited = submit(&mut client, &plan([limited]));
    attach(&mut client, &limited);
    let messages =
        progress_until(&mut client, &limited, |params| !params["batch"]["waits"].is_null());
    let until_ms =
        messages.last().unwrap()["params"]["batch"]["waits"]["until_ms"].as_u64().unwrap();
    // Another batch comes meanwhile: what is no agent runs, what is one waits with the others.
    let mut other = supervisor.connect();
    let tasks = [second.shell("program", "true"), second.prompt("agent", ["say: 4"])];
    let other_id = submit(&mut other, &plan(tasks));
    attach(&mut other, &other_id);
    progress_until(&mut other, &other_id, |params| {
        params["batch"]["counts"]["succeeded"] == 1 && !params["batch"]["waits"].is_null()
    });
    let metrics = cc_tests::http::get(supervisor.address(), "/metrics", &[]).body;
    let closed = metrics.lines().find(|line| !line.starts_with('#') && line.contains("gate"));
    assert!(closed.is_some(), "the gate is in the metrics: {metrics}");
    let over = Over::of_attached(&mut other, &other_id);
    over.assert_all_succeeded_at_once();
    assert_eq!(Over::of_attached(&mut client, &limited).outcome(), "succeeded");
    let started_ms = |name: &str| over.row(name)["attempts"][0]["started_ms"].as_u64().unwrap();
    assert!(started_ms("program") < until_ms, "{over:?}");
    assert!(started_ms("agent") >= until_ms, "{over:?}");
    second.ledger.assert_sequence(["program", "agent"]);
}

#[test]
fn who_waits_for_the_tasks_of_other_batches_is_waiting_and_not_running() {
    let options = Options::new().fixture_agent().flag("--grace", 1).flag("--claude-jobs", 1);
    let supervisor = Supervisor::start(&options);
    let (first, second) = (Notes::new(&supervisor), Notes::new(&supervisor));
    let mut client = supervisor.connect();
    let endless = submit(&mut client, &plan([first.prompt("endless", ["silence: "])]));
    first.ledger.wait_for_starts(1);
    let batch_id = submit(&mut client, &plan([second.prompt("next", ["say: 4"])]));
    attach(&mut client, &batch_id);
    // It stands at the gate as soon as its first step is stored, which is before the submit is answered.
    let batch = get(&mut client, &batch_id);
    let counts = &batch["counts"];
    assert_eq!((&counts["waiting"], &counts["running"]), (&json!(1), &json!(0)), "{batch}");
    assert_eq!((&batch["waits"], &batch["running"]), (&Value::Null, &json!([])), "{batch}");
    let page = client.call("batch.rows", &json!({ "batch_id": batch_id })).unwrap();
    assert_eq!(page["rows"][0]["state"], "waiting", "{page}");
    client.call("batch.cancel", &json!({ "batch_id": endless })).unwrap();
    Over::of_attached(&mut client, &batch_id).assert_all_succeeded_at_once();
}

#[test]
fn a_second_limit_after_the_first_is_waited_out_too() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let plays = ["limit for seconds: 3", "limit for seconds: 3", "status 500: ", "say: at last"];
    let over =
        run(&supervisor, &plan([with(notes.prompt("unlucky", plays), json!({"retries": 1}))]));
    assert_eq!(over.outcome(), "succeeded", "{:#?}", over.rows);
    let row = over.row("unlucky");
    assert_eq!(classes(row), [Some("limit"), Some("limit"), Some("transient"), None]);
    let numbers: Vec<u64> =
        attempts(row).iter().map(|attempt| attempt["attempt"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 1, 1, 2]);
    assert!(
        get(&mut supervisor.connect(), over.batch["batch_id"].as_str().unwrap())["waits"].is_null()
    );
}
