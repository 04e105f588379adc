//! What is taken as a batch and what is not: mistakes are reported all at once, limits by name, and the
//! same submission twice is one batch.

use cc_tests::{
    Client, Options, Supervisor,
    batches::{BATCH_PATIENCE, Notes, Over, attach, get, plan, rows, submit, supervisor},
    fifo::Fifo,
};
use serde_json::{Value, json};

fn refused(client: &mut Client, plan: &Value) -> Value {
    let error = client.call("batch.submit", plan).unwrap_err();
    assert_eq!(error["code"], -32602, "{error}");
    error
}

#[test]
fn all_mistakes_are_told_at_once_and_nothing_starts() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let notes = Notes::new(&supervisor);
    let error = refused(
        &mut client,
        &json!({
            "options": {"jobs": 0, "halt": "sometimes"},
            "tasks": [
                notes.prompt("good", ["say: 4"]),
                {"prompt": "x", "timeuot": 5},
                {"name": "twice", "prompt": "x", "retries": -1},
                {"name": "twice", "prompt": "x"},
                {"prompt": "{{tasks.nobody.result}} {{prev.answer}}"},
                {"name": "round", "needs": ["about"], "prompt": "x"},
                {"name": "about", "needs": ["round"], "prompt": "x"},
                {"argv": []},
            ],
        }),
    );
    let mistakes = error["data"]["mistakes"].as_array().unwrap();
    let has = |task: Value, field: &str, word: &str| {
        mistakes.iter().any(|mistake| {
            mistake["task"] == task
                && mistake["field"] == field
                && mistake["what"].as_str().unwrap().contains(word)
        })
    };
    for (task, field, word) in [
        (json!(null), "options.jobs", "1 to 200"),
        (json!(null), "options.halt", "soon,fail=N"),
        (json!(1), "timeuot", "timeout"),
        (json!(2), "retries", "0 to 100"),
        (json!(4), "prompt", "prev.answer"),
        (json!(7), "argv", ""),
    ] {
        assert!(has(task.clone(), field, word), "{task} {field} {word}: {mistakes:#?}");
    }
    assert_eq!(notes.ledger.starts(), [""; 0], "nothing started");
    let list = client.call("batch.list", &json!({"state": "all"})).unwrap();
    assert_eq!(list["batches"], json!([]));
}

#[test]
fn names_that_are_not_there_and_circles_are_told_before_anything_starts() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let error = refused(
        &mut client,
        &json!({"tasks": [
            {"name": "first", "prompt": "{{prev.result}}"},
            {"name": "second", "prompt": "{{tasks.frist.result}}"},
            {"name": "third", "prompt": "x", "needs": ["nobody"]},
            {"name": "second", "prompt": "x"},
            {"name": "round", "needs": ["about"], "prompt": "x"},
            {"name": "about", "needs": ["round"], "prompt": "x"},
        ]}),
    );
    let told: Vec<String> = error["data"]["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mistake| format!("{} {} {}", mistake["task"], mistake["field"], mistake["what"]))
        .collect();
    for (place, word) in [
        ("0 \"prompt\"", "no task stands before"),
        ("1 \"prompt\"", "did you mean"),
        ("2 \"needs\"", "nobody"),
        ("3 \"name\"", "task 2"),
        ("\"needs\"", "round needs about needs round"),
    ] {
        let found = told.iter().any(|told| told.contains(place) && told.contains(word));
        assert!(found, "{place} {word}: {told:#?}");
    }
}

#[test]
fn ten_thousand_tasks_are_a_batch_and_one_more_are_none() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    client.set_patience(BATCH_PATIENCE);
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let mut tasks = vec![notes.shell("gated", &format!("read go < {}", gate.path()))];
    tasks.extend((1..10_000).map(|number| json!({"argv": ["echo", number.to_string()]})));
    let mut most = plan(tasks);
    let batch_id = submit(&mut client, &most);
    notes.ledger.wait_for_starts(1);
    assert_eq!(get(&mut client, &batch_id)["counts"]["waiting"], 9_999);
    assert_eq!(rows(&mut client, &batch_id, None).len(), 10_000);
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
    gate.release();
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.batch["counts"]["skipped"], 9_999);
    most["tasks"].as_array_mut().unwrap().push(json!({"argv": ["true"]}));
    let error = refused(&mut client, &most);
    assert!(error["data"]["mistakes"][0]["what"].as_str().unwrap().contains("10000"), "{error}");
}

#[test]
fn ten_thousand_tasks_are_a_batch_and_one_more_is_refused() {
    let supervisor = supervisor();
    let mut fifo = Fifo::create();
    let mut client = supervisor.connect();
    let wait = json!({"command": format!("read line < {}", fifo.path()), "cwd": "/"});
    let task = |number: usize| {
        json!({"name": format!("t{number}"), "argv": ["true"], "label": "one of many", "timeout": 5,
               "retries": 0, "env": {"A": "b"}, "cwd": "/", "needs": ["first"]})
    };
    let mut tasks = vec![json!({"name": "first", "command": wait["command"], "cwd": "/"})];
    tasks.extend((1..10_000).map(task));
    let batch_id = submit(&mut client, &json!({ "tasks": tasks }));
    tasks.push(task(10_000));
    let error = client.call("batch.submit", &json!({ "tasks": tasks })).unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("at most 10000"), "{error}");
    let rows = |client: &mut Client, after: Value| {
        client.call("batch.rows", &json!({"batch_id": batch_id, "after_index": after})).unwrap()
    };
    let (mut seen, mut after) = (0, Value::Null);
    loop {
        let page = rows(&mut client, after);
        let list = page["rows"].as_array().unwrap();
        for row in list {
            assert_eq!(row["index"], seen);
            seen += 1;
        }
        after = list.last().unwrap()["index"].clone();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, 10_000);
    client.call("batch.cancel", &json!({"batch_id": batch_id})).unwrap();
    fifo.release();
    attach(&mut client, &batch_id);
    let completed = client.recv_until_method("batch.completed").pop().unwrap()["params"].clone();
    assert_eq!(completed["batch"]["counts"]["skipped"], 9_999);
    assert_eq!(completed["rows_omitted"], true);
}

#[test]
fn a_prompt_may_have_ten_megabytes_and_not_one_byte_more() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    client.set_patience(BATCH_PATIENCE);
    let prompt = |bytes: usize| {
        let text = format!("count bytes: {}", "x".repeat(bytes - "count bytes: ".len()));
        plan([json!({ "prompt": text })])
    };
    let batch_id = submit(&mut client, &prompt(10_000_000));
    let over = Over::of(&mut client, &batch_id);
    over.assert_all_succeeded_at_once();
    assert_eq!(over.rows[0]["result"], (10_000_000 - "count bytes: ".len()).to_string());
    assert!(over.rows[0]["title"].as_str().unwrap().len() < 1_000, "the title is shortened");
    let error = refused(&mut client, &prompt(10_000_001));
    let what = error["data"]["mistakes"][0]["what"].as_str().unwrap();
    assert!(what.contains("10000001") && what.contains("10000000"), "{error}");
}

#[test]
fn what_no_program_can_be_given_is_refused_when_it_is_submitted() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let long = "x".repeat(140_000);
    for (task, field) in [
        (json!({"argv": ["true", long]}), "argv"),
        (json!({ "command": format!("true {long}") }), "command"),
        (json!({"argv": ["true"], "env": {"LONG": long}}), "env"),
        (json!({"prompt": "say: 4", "append_system_prompt": long}), "append_system_prompt"),
        (json!({"argv": vec!["x".repeat(100_000); 30]}), "argv"),
        (json!({"prompt": "\u{a0}\u{200b}"}), "prompt"),
        (json!({"prompt": "say: 4", "resume_claude_session": "--help"}), "resume_claude_session"),
    ] {
        let error = refused(&mut client, &json!({ "tasks": [{"argv": ["true"]}, task] }));
        let mistakes = error["data"]["mistakes"].as_array().unwrap();
        assert_eq!((mistakes.len(), &mistakes[0]["field"]), (1, &json!(field)), "{error}");
    }
}

#[test]
fn the_same_idempotency_key_gives_the_same_batch_also_when_it_is_over_and_after_a_restart() {
    let options = Options::new().fixture_agent();
    let mut supervisor = Supervisor::start(&options);
    let notes = Notes::new(&supervisor);
    let mut plan = plan([notes.prompt("once", ["say: 4"])]);
    plan["idempotency_key"] = json!("monday");
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan);
    let again = |client: &mut Client, plan: &Value| {
        let answer = client.call("batch.submit", plan).unwrap();
        assert_eq!(answer, json!({"batch_id": batch_id, "is_new": false, "tasks": 1}));
    };
    again(&mut client, &plan);
    Over::of(&mut client, &batch_id).assert_all_succeeded_at_once();
    again(&mut supervisor.connect(), &plan);
    supervisor.kill();
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    again(&mut client, &plan);
    notes.ledger.assert_sequence(["once"]);
    // Another wish under the same key is a mistake, and not silently the old one.
    plan["tasks"][0]["prompt"] = json!("say: 5");
    let error = refused(&mut client, &plan);
    assert!(error.to_string().contains("idempotency_key"), "{error}");
}

#[test]
fn the_same_key_sent_by_many_at_once_gives_one_batch() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let mut plan = plan([notes.prompt("once", ["say: 4"])]);
    plan["idempotency_key"] = json!("at once");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let submit = || supervisor.connect().call("batch.submit", &plan).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(submit)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer["is_new"] == true).count(), 1, "{answers:?}");
    let batch_id = answers[0]["batch_id"].as_str().unwrap();
    assert!(answers.iter().all(|answer| answer["batch_id"] == batch_id), "{answers:?}");
    Over::of(&mut supervisor.connect(), batch_id).assert_all_succeeded_at_once();
    notes.ledger.assert_sequence(["once"]);
}

#[test]
fn a_hundred_batches_are_under_way_at_once_and_one_more_is_told_to_come_later() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let gate = Fifo::create();
    let waiting = plan([json!({"prompt": format!("wait for: {}", gate.path())})]);
    let ids: Vec<String> = (0..100).map(|_| submit(&mut client, &waiting)).collect();
    let error = client.call("batch.submit", &waiting).unwrap_err();
    assert_eq!(error["code"], -32016, "{error}");
    assert!(error["message"].as_str().unwrap().contains("100"), "{error}");
    for batch_id in &ids {
        client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
        assert_eq!(Over::of(&mut client, batch_id).outcome(), "canceled");
    }
    let one = submit(&mut client, &plan([json!({"prompt": "say: 4"})]));
    Over::of(&mut client, &one).assert_all_succeeded_at_once();
}

#[test]
fn an_unknown_batch_is_told_as_that_by_every_method() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    for method in ["get", "rows", "cancel", "attach", "resume"] {
        for batch_id in ["01990000-0000-7000-8000-000000000000", "nonsense"] {
            let params = json!({ "batch_id": batch_id });
            let error = client.call(&format!("batch.{method}"), &params).unwrap_err();
            assert_eq!(error["code"], -32015, "{method} {batch_id}: {error}");
            assert!(error["message"].as_str().unwrap().contains(batch_id), "{method}: {error}");
        }
    }
}
