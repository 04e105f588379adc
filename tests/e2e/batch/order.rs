//! Batches on the server: their order, what their tasks hand on, what can be asked about them, and who
//! may go while they run.

use cc_tests::{
    Ledger, Supervisor,
    batches::{
        Notes, Over, contained, get, options, plan, plan_with, rows, run, submit, supervisor, with,
    },
    cgroup::Containment,
    fifo::Fifo,
    requests::gated,
    unique_tag, wait_until, with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    a_task_begins_only_when_the_one_before_is_over_and_its_tree_is_gone,
    a_cancel_takes_the_trees_of_running_tasks_with_it,
);

/// The name of the task with this number.
fn name(number: usize) -> String {
    format!("t{number}")
}

fn a_task_begins_only_when_the_one_before_is_over_and_its_tree_is_gone(containment: &Containment) {
    let supervisor = Supervisor::start(&contained(containment).flag("--linger", 1));
    let notes = Notes::new(&supervisor);
    let tasks = [
        notes.prompt("agent", ["say: hello"]),
        notes.prompt("agent-with-family", ["leave a family: hello"]),
        notes.shell("daemon", "setsid sleep 100 & setsid sleep 100 > /dev/null 2>&1 & true"),
        notes.prompt("lingering", ["result without exit: hello"]),
        notes.shell("failing", "setsid sleep 100 & exit 3"),
        notes.prompt("failing-agent", ["error: no"]),
        notes.shell("deaf", "trap '' TERM; setsid sleep 100 & true"),
        notes.prompt("last", ["say: bye"]),
    ];
    let names: Vec<String> =
        tasks.iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect();
    let over = run(&supervisor, &plan(tasks));
    notes.ledger.assert_sequence(names);
    let failed: Vec<&str> = ["failing", "failing-agent"]
        .map(|name| over.row(name)["verdict"].as_str().unwrap())
        .to_vec();
    assert_eq!(failed, ["failed"; 2]);
    assert_eq!(over.batch["counts"]["succeeded"], 6, "{}", over.batch);
    assert_eq!(over.outcome(), "failed");
    assert!(over.batch["killed_leftovers"].as_u64().unwrap() >= 6, "{}", over.batch);
}

#[test]
fn results_of_earlier_tasks_are_filled_in_wherever_they_may_stand_and_mean_only_themselves() {
    let supervisor = supervisor();
    let directory = supervisor.scratch().join("made by a task");
    std::fs::create_dir(&directory).unwrap();
    // Everything that a shell, a template or an argument list could take for its own.
    let nasty = "it's \"4\"; $(touch made) `touch made` \\ {{prev.result}} *\nand more";
    let over = run(
        &supervisor,
        &plan([
            json!({"name": "first", "prompt": format!("say: {}", nasty.replace("{{", "{{{{"))}),
            json!({"prompt": "say: <{{prev.result}}>"}),
            json!({"argv": ["printf", "[%s]", "{{tasks.first.result}}"]}),
            json!({"command": "printf '(%s)' {{tasks.first.result}}"}),
            json!({"command": "printf '%s' \"$GIVEN\"", "env": {"GIVEN": "={{tasks.first.result}}="}}),
            json!({"name": "where", "argv": ["printf", "%s", directory]}),
            json!({"command": "pwd", "cwd": "{{prev.result}}"}),
            json!({"prompt": "say: {{{{prev.result}}"}),
        ]),
    );
    over.assert_all_succeeded_at_once();
    let results: Vec<&str> = over.rows.iter().map(|row| row["result"].as_str().unwrap()).collect();
    let directory = directory.to_str().unwrap();
    let expected = [
        nasty.to_owned(),
        format!("<{nasty}>"),
        format!("[{nasty}]"),
        format!("({nasty})"),
        format!("={nasty}="),
        directory.to_owned(),
        directory.to_owned(),
        "{{prev.result}}".to_owned(),
    ];
    for (result, expected) in results.iter().zip(&expected) {
        assert_eq!(result.trim_end(), expected);
    }
}

#[test]
fn needs_make_another_order_than_that_of_the_list() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let task = |name: &str, needs: &[&str]| {
        with(notes.prompt(name, ["say: done"]), json!({ "needs": needs }))
    };
    let over = run(
        &supervisor,
        &plan([
            task("roof", &["walls"]),
            task("walls", &["floor"]),
            task("garden", &[]),
            task("floor", &[]),
        ]),
    );
    over.assert_all_succeeded_at_once();
    notes.ledger.assert_sequence(["garden", "floor", "walls", "roof"]);
}

#[test]
fn independent_tasks_run_side_by_side_but_never_more_than_jobs() {
    let supervisor = supervisor();
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let mut tasks: Vec<Value> = (0..8)
        .map(|number| notes.shell(&name(number), &format!("read go < {}", gate.path())))
        .collect();
    tasks.push(with(notes.shell("after", "true"), json!({"needs": ["t0", "t7"]})));
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan_with(json!({"jobs": 3}), tasks));
    for ended in 0..8 {
        notes.ledger.wait_for_starts(8.min(ended + 3));
        gate.release();
        wait_until("one ends", || ends(&notes.ledger) > ended);
    }
    let over = Over::of(&mut client, &batch_id);
    over.assert_all_succeeded_at_once();
    assert_eq!(notes.ledger.most_at_once(), 3);
    assert_eq!(notes.ledger.starts().last().unwrap(), "after");
}

fn ends(ledger: &Ledger) -> usize {
    ledger.entries().len() - ledger.starts().len()
}

#[test]
fn claude_tasks_run_one_at_a_time_unless_they_may_more() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let tasks: Vec<Value> = (0..4).map(|number| notes.prompt(&name(number), ["say: 4"])).collect();
    let over = run(&supervisor, &plan_with(json!({"jobs": 3}), tasks));
    over.assert_all_succeeded_at_once();
    assert_eq!(notes.ledger.most_at_once(), 1, "jobs does not make several logins at once");
    notes.ledger.assert_alone();
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let play = format!("wait for: {}", gate.path());
    let tasks: Vec<Value> = (0..2).map(|number| notes.prompt(&name(number), [&play])).collect();
    let mut client = supervisor.connect();
    let plan = plan_with(json!({"jobs": 2, "claude_jobs": 2}), tasks);
    let batch_id = submit(&mut client, &plan);
    notes.ledger.wait_for_starts(2);
    gate.write(b"go\n");
    wait_until("one ends", || ends(&notes.ledger) == 1);
    gate.write(b"go\n");
    Over::of(&mut client, &batch_id).assert_all_succeeded_at_once();
}

#[test]
fn what_needs_a_failed_task_is_skipped_and_says_so_and_the_rest_goes_on() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let over = run(
        &supervisor,
        &plan([
            notes.prompt("bad", ["error: no"]),
            with(notes.shell("child", "true"), json!({"needs": ["bad"]})),
            with(notes.shell("grandchild", "true"), json!({"needs": ["child"]})),
            json!({"name": "reader", "prompt": "say: {{tasks.bad.result}}"}),
            with(notes.prompt("tolerated", ["error: no"]), json!({"allow_failure": true})),
            with(notes.shell("needs-tolerated", "true"), json!({"needs": ["tolerated"]})),
            json!({"name": "reads-tolerated", "prompt": "say: {{tasks.tolerated.result}}"}),
            notes.shell("stranger", "true"),
        ]),
    );
    let expected =
        ["failed", "skipped", "skipped", "skipped", "failed", "succeeded", "skipped", "succeeded"];
    assert_eq!(over.verdicts(), expected);
    assert_eq!(over.outcome(), "failed");
    for (skipped, named) in [
        ("child", "bad"),
        ("grandchild", "child"),
        ("reader", "bad"),
        ("reads-tolerated", "tolerated"),
    ] {
        let why = over.row(skipped)["why"].as_str().unwrap();
        assert!(why.contains(named), "{skipped}: {why}");
    }
    notes.ledger.assert_sequence(["bad", "tolerated", "needs-tolerated", "stranger"]);
}

#[test]
fn a_batch_outlives_the_client_that_submitted_it() {
    let supervisor = Supervisor::start(&options().flag("--resume-grace", 0));
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let mut tasks = vec![notes.shell("gated", &format!("read go < {}", gate.path()))];
    tasks.extend((0..3).map(|number| notes.prompt(&name(number), ["say: 4"])));
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    notes.ledger.wait_for_starts(1);
    client.reset();
    gate.release();
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    over.assert_all_succeeded_at_once();
    notes.ledger.assert_sequence(["gated", "t0", "t1", "t2"]);
}

fn a_cancel_takes_the_trees_of_running_tasks_with_it(containment: &Containment) {
    let supervisor = Supervisor::start(&contained(containment));
    let (notes, tag) = (Notes::new(&supervisor), unique_tag("canceled"));
    let mut client = supervisor.connect();
    let family = format!("{} setsid-sleepers 3 stay {tag}", cc_tests::binaries::misbehave());
    let tasks = [
        notes.prompt("done", ["say: 4"]),
        notes.shell("family", &family),
        notes.prompt("never", ["say: 4"]),
    ];
    let batch_id = submit(&mut client, &plan(tasks));
    wait_until("the family is there", || cc_tests::processes::survivors(&tag).len() >= 4);
    let canceled = client.call("batch.cancel", &json!({ "batch_id": batch_id }));
    assert_eq!(canceled, Ok(json!({"status": "canceled"})));
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(cc_tests::processes::survivors(&tag), [0; 0]);
    assert_eq!(over.verdicts(), ["succeeded", "canceled", "skipped"]);
    assert_eq!(over.outcome(), "canceled");
    notes.ledger.assert_sequence(["done", "family"]);
    let again = client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap_err();
    assert_eq!(again["code"], -32002, "{again}");
}

#[test]
fn a_batch_that_finds_no_room_waits_for_it() {
    let supervisor = Supervisor::start(&options().flag("--max-tasks", 1));
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let mut occupant = supervisor.connect();
    let answer = occupant.execute(&gated(&gate, "true")).unwrap();
    let mut client = supervisor.connect();
    let tasks = [notes.prompt("agent", ["say: 4"]), notes.shell("program", "true")];
    let batch_id = submit(&mut client, &plan(tasks));
    // Asked a second time it is still there, and has not failed.
    assert_eq!(get(&mut client, &batch_id)["state"], "running");
    assert_eq!(notes.ledger.starts(), [""; 0]);
    gate.release();
    assert_eq!(occupant.collect(answer).end(), ("exit", 0));
    Over::of(&mut client, &batch_id).assert_all_succeeded_at_once();
    notes.ledger.assert_sequence(["agent", "program"]);
}

#[test]
fn a_resumed_batch_runs_what_has_not_succeeded_with_the_results_of_what_has() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let mut client = supervisor.connect();
    let tasks = [
        json!({"name": "good", "prompt": "say: 4"}),
        with(notes.prompt("bad", ["error: no", "say: at last"]), json!({"retries": 0})),
        json!({"name": "reader", "prompt": "say: {{tasks.good.result}} and {{tasks.bad.result}}"}),
    ];
    let first = submit(&mut client, &plan(tasks));
    let over = Over::of(&mut client, &first);
    assert_eq!(over.verdicts(), ["succeeded", "failed", "skipped"]);
    let mut resume = |only: &str, expected: u64| {
        let params = json!({"batch_id": first, "only": only});
        let answer = client.call("batch.resume", &params).unwrap();
        assert_eq!((&answer["is_new"], &answer["tasks"]), (&json!(true), &json!(expected)));
        let batch_id = answer["batch_id"].as_str().unwrap();
        assert_ne!(batch_id, first);
        Over::of(&mut client, batch_id)
    };
    let unsuccessful = resume("unsuccessful", 2);
    unsuccessful.assert_all_succeeded_at_once();
    assert_eq!(unsuccessful.row("reader")["result"], "4 and at last");
    resume("failed", 1).assert_all_succeeded_at_once();
    // The first one stays as it was.
    let mut client = supervisor.connect();
    assert_eq!(rows(&mut client, &first, None), over.rows);
    assert_eq!(notes.ledger.starts_of("bad"), 3);
}
