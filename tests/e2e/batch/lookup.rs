//! What can be asked about a batch and its tasks, by whom, and who may watch it.

use cc_tests::{
    batches::{
        Notes, Over, attach, attempts, get, plan, progress_until, rows, run, submit, supervisor,
    },
    fifo::Fifo,
};
use serde_json::{Value, json};

#[test]
fn rows_come_in_pages_and_a_long_result_is_cut_with_a_mark() {
    let supervisor = supervisor();
    let mut tasks: Vec<Value> =
        (0..24).map(|number| json!({"argv": ["echo", number.to_string()]})).collect();
    tasks.push(json!({"prompt": format!("say: {}", "é".repeat(100_000)), "label": "long"}));
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    let over = Over::of(&mut client, &batch_id);
    over.assert_all_succeeded_at_once();
    for limit in [1, 7, 25, 1_000] {
        assert_eq!(rows(&mut client, &batch_id, Some(limit)), over.rows);
    }
    let page = client.call("batch.rows", &json!({"batch_id": batch_id, "after_index": 24}));
    assert_eq!(page, Ok(json!({"rows": [], "has_more": false})));
    let long = &over.rows[24];
    assert_eq!((&long["label"], &long["result_truncated"]), (&json!("long"), &json!(true)));
    let result = long["result"].as_str().unwrap();
    assert!(
        result.chars().all(|letter| letter == 'é') && result.len() == 16 * 1024,
        "{}",
        result.len()
    );
    assert_eq!(over.rows[3]["result"].as_str().unwrap().trim_end(), "3");
    assert_eq!(over.rows[3]["result_truncated"], false);
}

#[test]
fn a_row_holds_what_the_agent_told() {
    let over = run(&supervisor(), &plan([json!({"prompt": "say: 4", "label": "sum"})]));
    let row = &over.rows[0];
    for (name, value) in [
        ("result", json!("4")),
        ("is_error", json!(false)),
        ("cost_usd", json!(0.25)),
        ("num_turns", json!(1)),
        ("claude_session_id", json!("00000000-0000-4000-8000-000000000001")),
        ("exit_code", json!(0)),
        ("reason", json!("exit")),
        ("label", json!("sum")),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    assert_eq!(row["usage"]["output_tokens"], 7, "{row}");
    assert!(row["title"].as_str().unwrap().contains("say: 4"), "{row}");
    assert_eq!(over.batch["cost_usd"], 0.25);
    assert_eq!(over.batch["output_tokens"], 7);
}

#[test]
fn several_may_watch_a_batch_and_whoever_comes_after_the_end_is_told_it_at_once() {
    let supervisor = supervisor();
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let mut submitter = supervisor.connect();
    let tasks = [
        notes.shell("gated", &format!("read go < {}", gate.path())),
        notes.prompt("second", ["say: 2"]),
        notes.prompt("third", ["say: 3"]),
    ];
    let batch_id = submit(&mut submitter, &plan(tasks));
    notes.ledger.wait_for_starts(1);
    let mut watchers: Vec<_> = (0..3).map(|_| supervisor.connect()).collect();
    for watcher in &mut watchers {
        let summary = attach(watcher, &batch_id);
        assert_eq!(summary["state"], "running", "{summary}");
        assert_eq!(summary["counts"]["running"], 1, "{summary}");
        assert_eq!(summary["running"][0]["name"], "gated", "{summary}");
    }
    // One of them loses interest.
    let detached = watchers[2].call("batch.detach", &json!({"batch_id": batch_id}));
    assert_eq!(detached, Ok(json!({"status": "detached"})));
    gate.release();
    for watcher in &mut watchers[..2] {
        let messages =
            progress_until(watcher, &batch_id, |params| params["batch"]["state"] == "over");
        let ended =
            |message: &Value| message["params"]["batch"]["counts"]["succeeded"].as_u64().unwrap();
        assert!(messages.is_sorted_by_key(ended), "progress goes back: {messages:?}");
        assert_eq!(ended(messages.last().unwrap()), 3);
    }
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    over.assert_all_succeeded_at_once();
    // Its answer comes after everything that the server had to say.
    let first = watchers[2].call("ping", &json!({}));
    assert!(first.is_ok(), "{first:?}");
    let stray = watchers[2].recv_within(std::time::Duration::from_millis(1));
    assert_eq!(stray, None, "who has detached is told no more");
}

#[test]
fn a_batchs_tasks_are_tasks_that_anybody_can_look_at_and_end() {
    let supervisor = supervisor();
    let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
    let mut client = supervisor.connect();
    let command = format!("echo ready; read go < {}", gate.path());
    let tasks = [notes.shell("endless", &command), notes.prompt("next", ["say: 4"])];
    let batch_id = submit(&mut client, &plan(tasks));
    notes.ledger.wait_for_starts(1);
    let task_id = get(&mut client, &batch_id)["running"][0]["task_id"].as_str().unwrap().to_owned();
    let list = client.call("task.list", &json!({})).unwrap();
    let listed = list["tasks"].as_array().unwrap().iter().find(|task| task["task_id"] == *task_id);
    let listed = listed.unwrap_or_else(|| panic!("not in the list: {list}"));
    assert_eq!(listed["session_id"], Value::Null, "{listed}");
    let mut watcher = supervisor.connect();
    watcher.attach(&task_id, 0).unwrap();
    watcher.recv_until_output("ready");
    let canceled = client.call("task.cancel", &json!({ "task_id": task_id }));
    assert_eq!(canceled.unwrap()["status"], "canceled");
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["canceled", "succeeded"], "the batch goes on");
    assert_eq!(attempts(over.row("endless")).len(), 1, "what somebody ended is not tried again");
    assert_eq!(over.row("endless")["attempts"][0]["class"], "final");
}

#[test]
fn batches_are_listed_the_newest_first_and_by_their_state() {
    let supervisor = supervisor();
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let mut client = supervisor.connect();
    let over: Vec<String> = (0..3)
        .map(|_| {
            let batch_id = submit(&mut client, &plan([json!({"argv": ["true"]})]));
            Over::of(&mut client, &batch_id).assert_all_succeeded_at_once();
            batch_id
        })
        .collect();
    let gated = notes.shell("gated", &format!("read go < {}", gate.path()));
    let running = submit(&mut client, &plan([gated]));
    let mut list = |params: Value| {
        let page = client.call("batch.list", &params).unwrap();
        let ids: Vec<String> = page["batches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|batch| batch["batch_id"].as_str().unwrap().to_owned())
            .collect();
        (ids, page["has_more"].as_bool().unwrap())
    };
    let newest_first: Vec<String> =
        std::iter::once(&running).chain(over.iter().rev()).cloned().collect();
    assert_eq!(list(json!({"state": "all"})), (newest_first.clone(), false));
    assert_eq!(list(json!({"state": "running"})), (vec![running.clone()], false));
    assert_eq!(list(json!({"state": "over"})), (newest_first[1..].to_vec(), false));
    assert_eq!(list(json!({"state": "all", "limit": 2})), (newest_first[..2].to_vec(), true));
    let rest = json!({"state": "all", "limit": 2, "before": newest_first[1]});
    assert_eq!(list(rest), (newest_first[2..].to_vec(), false));
    gate.release();
    Over::of(&mut client, &running).assert_all_succeeded_at_once();
}
