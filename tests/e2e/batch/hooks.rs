//! Commands around the tasks of a batch, and timeouts from experience.

use std::{collections::HashMap, fs, path::PathBuf};

use cc_tests::{
    Options, Supervisor,
    batches::{Notes, Over, attempts, plan, plan_with, run, submit, supervisor, with},
    fifo::Fifo,
    processes, unique_tag,
};
use serde_json::{Value, json};

/// A file to which hooks add what they were told.
struct Told {
    path: PathBuf,
}

impl Told {
    fn new(supervisor: &Supervisor) -> Self {
        Self { path: supervisor.scratch().join("told") }
    }

    /// A hook that adds one line, its name and its facts, at one stroke: two hooks may run at once.
    fn hook(&self, name: &str) -> Value {
        let path = self.path.display();
        let line = format!(
            "facts=$(env | grep '^CC_EXECUTOR_' | sort | tr '\\n' '\\t'); \
             printf '%s\\t%s\\n' '{name}' \"$facts\" >> {path}"
        );
        json!({ "command": line })
    }

    /// For each line its name and its variables, without `CC_EXECUTOR_`.
    fn lines(&self) -> Vec<(String, HashMap<String, String>)> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let line = |line: &str| {
            let mut parts = line.split('\t');
            let name = parts.next().unwrap().to_owned();
            let variable = |part: &str| {
                let (name, value) = part.split_once('=')?;
                Some((name.strip_prefix("CC_EXECUTOR_")?.to_owned(), value.to_owned()))
            };
            (name, parts.filter_map(variable).collect())
        };
        text.lines().map(line).collect()
    }
}

#[test]
fn hooks_run_around_each_task_and_after_the_batch_and_are_told_the_facts() {
    let supervisor = supervisor();
    let (notes, told) = (Notes::new(&supervisor), Told::new(&supervisor));
    let hooks = json!({
        "before_task": told.hook("before"), "after_task": told.hook("after"),
        "after_batch": told.hook("over"),
    });
    let tasks = [notes.prompt("good", ["say: 4"]), notes.shell("bad", "exit 3")];
    let over = run(&supervisor, &plan_with(json!({ "hooks": hooks }), tasks));
    assert_eq!(over.verdicts(), ["succeeded", "failed"]);
    let lines = told.lines();
    let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["before", "after", "before", "after", "over"]);
    let batch_id = over.batch["batch_id"].as_str().unwrap();
    for (name, facts) in &lines {
        assert_eq!(facts["BATCH_ID"], batch_id, "{name}: {facts:?}");
    }
    for (line, index, verdict) in
        [(0, "0", None), (1, "0", Some("succeeded")), (2, "1", None), (3, "1", Some("failed"))]
    {
        let facts = &lines[line].1;
        assert_eq!(facts["TASK_INDEX"], index, "{facts:?}");
        assert_eq!(facts.get("VERDICT").map(String::as_str), verdict, "{facts:?}");
    }
    assert_eq!(
        lines[1].1["ATTEMPT_ID"],
        over.row("good")["attempts"][0]["task_id"].as_str().unwrap()
    );
    // They are tasks of their own, and not the batch's.
    let list = supervisor.connect().call("task.list", &json!({"limit": 100})).unwrap();
    let labels: Vec<&str> = list["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|task| task["label"].as_str())
        .filter(|label| label.starts_with("hook "))
        .collect();
    assert_eq!(labels.len(), 5, "{list}");
}

#[test]
fn a_failing_before_task_fails_the_task_with_that_reason_and_the_task_never_begins() {
    let supervisor = supervisor();
    let notes = Notes::new(&supervisor);
    let hooks = json!({"before_task": {"command": "test \"$CC_EXECUTOR_TASK_INDEX\" != 1"}});
    let tasks = [
        notes.prompt("first", ["say: 4"]),
        notes.prompt("refused", ["say: 4"]),
        notes.prompt("last", ["say: 4"]),
    ];
    let over = run(&supervisor, &plan_with(json!({ "hooks": hooks }), tasks));
    assert_eq!(over.verdicts(), ["succeeded", "failed", "succeeded"]);
    let row = over.row("refused");
    let told = format!("{} {}", row["reason"], row["error"]);
    assert!(told.contains("before_task"), "{row}");
    assert!(attempts(row).is_empty(), "{row}");
    notes.ledger.assert_sequence(["first", "last"]);
}

#[test]
fn hooks_that_fail_or_hang_change_no_verdict_and_leave_nothing() {
    let supervisor = supervisor();
    let (notes, tag) = (Notes::new(&supervisor), unique_tag("hook"));
    let misbehave = cc_tests::binaries::misbehave();
    let hooks = json!({
        "after_task": {"command": format!("{misbehave} setsid-sleepers 2 stay {tag}"), "timeout": 1},
        "after_batch": {"argv": ["false"]},
    });
    let over =
        run(&supervisor, &plan_with(json!({ "hooks": hooks }), [notes.prompt("good", ["say: 4"])]));
    over.assert_all_succeeded_at_once();
    assert_eq!(processes::survivors(&tag), [0; 0]);
}

#[test]
fn the_configured_hooks_run_for_batches_that_have_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("told");
    let hook = |name: &str| format!("echo {name} >> {}", path.display());
    let supervisor = Supervisor::start(
        &Options::new()
            .fixture_agent()
            .flag("--before-task", hook("before"))
            .flag("--after-task", hook("after"))
            .flag("--after-batch", hook("over")),
    );
    run(&supervisor, &plan([json!({"prompt": "say: 4"})])).assert_all_succeeded_at_once();
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\nover\n");
}

#[test]
fn a_hook_that_runs_when_the_batch_is_canceled_is_not_left_behind() {
    let supervisor = supervisor();
    let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
    let mut ready = Fifo::create();
    let command = format!("echo ready > {}; read go < {}", ready.path(), gate.path());
    let hooks = json!({"before_task": {"command": command}});
    let mut client = supervisor.connect();
    let plan = plan_with(json!({ "hooks": hooks }), [notes.prompt("never", ["say: 4"])]);
    let batch_id = submit(&mut client, &plan);
    ready.read();
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["skipped"]);
    assert_eq!(over.outcome(), "canceled");
    assert_eq!(notes.ledger.starts(), [""; 0]);
}

#[test]
fn a_halt_that_ends_what_runs_leaves_the_hooks_after_it_their_turn() {
    let supervisor = supervisor();
    let (notes, told) = (Notes::new(&supervisor), Told::new(&supervisor));
    let (gate, ready) = (Fifo::create(), Fifo::create());
    let tasks = [
        notes.shell("gated", &format!("echo ready > {}; read go < {}", ready.path(), gate.path())),
        notes.shell("bad", &format!("read ready < {}; exit 3", ready.path())),
        notes.shell("never", "true"),
    ];
    let hooks = json!({"after_task": told.hook("after"), "after_batch": told.hook("over")});
    let options = json!({"jobs": 2, "halt": "now,fail=1", "hooks": hooks});
    let over = run(&supervisor, &plan_with(options, tasks));
    assert_eq!(over.verdicts(), ["canceled", "failed", "skipped"]);
    assert_eq!(over.outcome(), "halted");
    let lines = told.lines();
    let after = |index: &str| -> Vec<&str> {
        let of_task = lines.iter().filter(|(name, facts)| {
            name == "after" && facts.get("TASK_INDEX").is_some_and(|of| of == index)
        });
        of_task.map(|(_, facts)| facts["VERDICT"].as_str()).collect()
    };
    assert_eq!((after("0"), after("1")), (vec!["canceled"], vec!["failed"]), "{lines:?}");
    assert_eq!(lines.len(), 3, "none for what never began: {lines:?}");
    let (name, facts) = lines.last().unwrap();
    assert_eq!((name.as_str(), facts["OUTCOME"].as_str()), ("over", "halted"));
    assert_eq!(notes.ledger.starts_of("never"), 0);
}

#[test]
fn a_timeout_comes_from_experience_as_soon_as_there_is_enough_of_it() {
    let supervisor = supervisor();
    let auto = |text: &str| {
        let task = json!({"prompt": format!("say: {text}"), "timeout": "auto"});
        let over = run(&supervisor, &plan([with(task, json!({"label": "tests"}))]));
        over.assert_all_succeeded_at_once();
        let row = &over.rows[0];
        (row["timeout_s"].as_f64().unwrap(), row["timeout_why"].as_str().unwrap().to_owned())
    };
    let (timeout_s, why) = auto("first");
    assert_eq!(timeout_s, 3_600.0);
    assert!(why.contains("default") && why.contains('0'), "{why}");
    let earlier = (0..5).map(|_| json!({"prompt": "say: x", "label": "tests"}));
    run(&supervisor, &plan(earlier)).assert_all_succeeded_at_once();
    // Short runs: the floor.
    let (timeout_s, why) = auto("another");
    assert_eq!(timeout_s, 120.0);
    assert!(why.contains("earlier successful runs") && why.contains("at least"), "{why}");
}

#[test]
fn a_timeout_from_experience_knows_prompts_that_differ_in_numbers_and_forgets_nothing_in_a_restart()
{
    let options = Options::new().fixture_agent();
    let mut supervisor = Supervisor::start(&options);
    let issue = |number: u32| json!({"prompt": format!("say: look at issue {number}")});
    run(&supervisor, &plan((0..5).map(issue))).assert_all_succeeded_at_once();
    supervisor.kill();
    supervisor.start_again(&options);
    let timeout_s = |task: Value| {
        let over = run(&supervisor, &plan([with(task, json!({"timeout": "auto"}))]));
        over.rows[0]["timeout_s"].as_f64().unwrap()
    };
    assert_eq!(timeout_s(issue(17)), 120.0);
    assert_eq!(timeout_s(json!({"prompt": "say: something else"})), 3_600.0);
}

#[test]
fn failures_are_no_experience() {
    let supervisor = supervisor();
    let failing = (0..6).map(|_| json!({"prompt": "error: no", "label": "tests"}));
    run(&supervisor, &plan(failing));
    let task = json!({"prompt": "say: 4", "label": "tests", "timeout": "auto"});
    let over = run(&supervisor, &plan([task]));
    assert_eq!(over.rows[0]["timeout_s"], 3_600.0, "{}", over.rows[0]);
}

#[test]
fn a_given_timeout_is_in_the_record_with_its_reason() {
    let over = run(&supervisor(), &plan([json!({"prompt": "say: 4", "timeout": 77})]));
    assert_eq!(over.rows[0]["timeout_s"], 77.0, "{}", over.rows[0]);
}
