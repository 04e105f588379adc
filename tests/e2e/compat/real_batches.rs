//! Batches of fifty real Claude tasks through whatever a night brings; only the model is a stand-in.
//!
//! Each prompt holds the result of the task before it, so that the last result is the witness of the
//! order, and the stand-in counts the requests, so that a second start of a task would be seen.

use std::{fs, process::Stdio, time::Duration};

use cc_tests::{
    Options, Supervisor,
    batches::{Over, attempts, classes, plan, plan_with, run, submit, with},
    binaries,
    messages_api::{RealCli, real_cli::with_tools},
    processes, unique_tag, wait_until,
};
use serde_json::{Value, json};

const TASKS: u64 = 50;

fn fifty() -> Vec<Value> {
    let task = |number: u64| match number {
        1 => json!({"prompt": "say: 1"}),
        _ => json!({"prompt": format!("say: {{{{prev.result}}}} {number}")}),
    };
    (1..=TASKS).map(task).collect()
}

/// All of them, in order, and each asked once but for those that a limit refused.
fn assert_fifty(cli: &RealCli, over: &Over) {
    assert_eq!(over.outcome(), "succeeded", "{}", over.batch);
    assert_eq!(over.batch["counts"]["succeeded"], TASKS);
    let numbers: Vec<String> = (1..=TASKS).map(|number| number.to_string()).collect();
    assert_eq!(over.rows.last().unwrap()["result"], numbers.join(" "));
    assert_eq!(cli.api().requests() - cli.api().refused(), TASKS, "every task asked once");
    for task_id in over.task_ids() {
        let left = processes::with_environment(task_id);
        assert!(left.is_empty(), "left behind: {}", processes::describe(&left));
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn fifty_tasks_outlive_the_kill_of_their_supervisor() {
    let cli = RealCli::start();
    let options = cli.options(Options::new());
    let mut supervisor = Supervisor::start(&options);
    let batch_id = submit(&mut supervisor.connect(), &plan(fifty()));
    for requests in [TASKS / 3, TASKS / 2] {
        wait_until_asked(&cli, requests);
        supervisor.kill();
        supervisor.start_again(&options);
    }
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    over.assert_all_succeeded_at_once();
    assert_fifty(&cli, &over);
    assert!(supervisor.stop().success());
}

/// Half a minute is not enough for so many on a busy machine.
fn wait_until_asked(cli: &RealCli, requests: u64) {
    for number in 1..=requests {
        wait_until(&format!("request {number}"), || cli.api().requests() >= number);
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn fifty_tasks_outlive_the_crash_of_their_client() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()).flag("--resume-grace", 0));
    let file = supervisor.scratch().join("tasks.jsonl");
    let lines: String = fifty().iter().map(|task| format!("{task}\n")).collect();
    fs::write(&file, lines).unwrap();
    let mut ccx = binaries::ccx_command(&supervisor.url())
        .arg("batch")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until_asked(&cli, TASKS / 3);
    ccx.kill().unwrap();
    ccx.wait().unwrap();
    let mut client = supervisor.connect();
    let list = client.call("batch.list", &json!({"state": "all"})).unwrap();
    let batch_id = list["batches"][0]["batch_id"].as_str().unwrap().to_owned();
    let over = Over::of(&mut client, &batch_id);
    over.assert_all_succeeded_at_once();
    assert_fifty(&cli, &over);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn fifty_tasks_wait_out_a_limit() {
    let cli = RealCli::start();
    cli.api().limit(TASKS / 2, Duration::from_secs(5));
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let over = run(&supervisor, &plan(fifty()));
    assert_fifty(&cli, &over);
    let refused: Vec<&Value> = over.rows.iter().filter(|row| attempts(row).len() > 1).collect();
    assert_eq!(refused.len(), 1, "nobody else ran into it: {refused:?}");
    assert_eq!(classes(refused[0]), [Some("limit"), None]);
    assert_eq!(cli.api().refused(), 1, "the wait was long enough");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_limit_holds_through_the_kill_of_the_supervisor() {
    let cli = RealCli::start();
    cli.api().limit(2, Duration::from_secs(8));
    let options = cli.options(Options::new());
    let mut supervisor = Supervisor::start(&options);
    let tasks = ["one", "two", "three"].map(|word| json!({"prompt": format!("say: {word}")}));
    let batch_id = submit(&mut supervisor.connect(), &plan(tasks));
    let mut client = supervisor.connect();
    wait_until("it waits", || {
        cc_tests::batches::get(&mut client, &batch_id)["state"] == "waiting_limit"
    });
    supervisor.kill();
    supervisor.start_again(&options);
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"; 3]);
    assert_eq!((cli.api().requests(), cli.api().refused()), (4, 1));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_api_in_trouble_is_asked_again_by_fresh_processes() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    // The CLI itself tries twice and gives up.
    let tasks = [500, 529]
        .map(|status| json!({"prompt": format!("refuse 2 times with {status}: at last")}));
    let over = run(&supervisor, &plan(tasks));
    assert_eq!(over.outcome(), "succeeded", "{:#?}", over.rows);
    for row in &over.rows {
        assert_eq!(classes(row), [Some("transient"), None], "{row}");
        assert_eq!(row["result"], "at last");
    }
    assert_eq!(cli.api().requests(), 6);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_wrong_key_stops_the_batch_with_the_first_refusal() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    // With a key the CLI would try ten times, for more than a minute.
    let env = json!({"ANTHROPIC_API_KEY": "wrong", "CLAUDE_CODE_MAX_RETRIES": "10"});
    let tasks = [json!({"prompt": "status: 401"}), json!({"prompt": "say: never"})];
    let over = run(&supervisor, &plan_with(json!({"defaults": {"env": env}}), tasks));
    assert_eq!(over.verdicts(), ["auth", "skipped"]);
    assert_eq!(over.outcome(), "stopped");
    assert!(over.reason().contains("credentials"), "{}", over.reason());
    assert!(cli.api().requests() < 10, "{} requests", cli.api().requests());
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn what_a_task_left_in_the_background_is_gone_before_the_next_one_begins() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()).flag("--linger", 1));
    let tag = unique_tag("left");
    let left =
        with_tools(&format!("bash: setsid sh -c 'sleep 100; true' {tag} > /dev/null 2>&1 &"));
    let look = with_tools(&format!("bash: ps ax | grep {tag} | grep -v -e grep -e claude | wc -l"));
    let hang = with(json!({"prompt": "hang"}), json!({"timeout": 5}));
    let over = run(&supervisor, &plan([left, look, hang, json!({"prompt": "say: 4"})]));
    assert_eq!(over.verdicts(), ["succeeded", "succeeded", "timed_out", "succeeded"]);
    assert_eq!(over.rows[1]["result"].as_str().unwrap().trim(), "The tool said: 0");
    assert_eq!(processes::survivors(&tag), [0; 0]);
}
