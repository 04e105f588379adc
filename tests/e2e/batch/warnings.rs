//! What a batch's tasks say at their ends beside their verdicts: on the wire, on record, and to hooks.

use std::{fs, path::PathBuf, process::Command};

use cc_tests::{
    Options, Supervisor,
    batches::{get, plan, plan_with, run},
    binaries, wait_until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const SESSION: &str = "c0ffee00-0000-4000-8000-000000000002";

/// An agent that prints the file that its prompt names, in a folder that outlives the supervisor.
struct Player {
    folder: TempDir,
}

impl Player {
    /// Each stream has the name of a prompt, and lines after its `init`.
    fn new(streams: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let text = format!("#!/bin/sh\nread -r name\ncat '{}'/\"$name\"\n", path.display());
        binaries::install_script(&path.join("player"), &text);
        let init = json!({"type": "system", "subtype": "init", "session_id": SESSION,
            "claude_code_version": "9.9.9", "apiKeySource": "none",
            "mcp_servers": [{"name": "ledger", "status": "failed"}]});
        for (name, lines) in streams {
            fs::write(path.join(name), format!("{init}\n{lines}\n")).unwrap();
        }
        Self { folder }
    }

    fn options(&self) -> Options {
        let player: PathBuf = self.folder.path().join("player");
        Options::new().flag("--agent", player.display()).flag("--grace", 1)
    }
}

fn good(answer: &str) -> String {
    json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 1,
        "result": answer, "total_cost_usd": 0.015})
    .to_string()
}

#[test]
fn a_row_has_the_warnings_the_conversation_and_the_version_and_keeps_them() {
    let player = Player::new(&[("good", &good("42"))]);
    let mut supervisor = Supervisor::start(&player.options());
    let over = run(&supervisor, &plan([json!({"name": "a", "prompt": "good"})]));
    let check = |row: &Value| {
        assert_eq!(row["verdict"], "succeeded");
        assert_eq!(row["warnings"][0]["kind"], "mcp_server");
        assert!(row["warnings"][0]["message"].as_str().unwrap().contains("ledger"), "{row}");
        assert_eq!(row["claude_session_id"], SESSION);
        assert_eq!(
            (&row["cli_version"], &row["api_key_source"]),
            (&json!("9.9.9"), &json!("none"))
        );
        assert_eq!(row["attempts"][0]["stdout_tail"], "42");
    };
    check(&over.rows[0]);
    assert_eq!(over.batch["warnings"], 1);
    let listed = |supervisor: &Supervisor| {
        let mut client = supervisor.connect();
        client.call("task.list", &json!({})).unwrap()["tasks"][0].clone()
    };
    wait_until("the task has left", || listed(&supervisor)["state"] == "ended");
    let ps = |supervisor: &Supervisor| {
        let mut command: Command = binaries::ccx_command(&supervisor.url());
        String::from_utf8(command.args(["ps", "--all"]).output().unwrap().stdout).unwrap()
    };
    assert!(ps(&supervisor).contains("succeeded (1 warning)"), "{}", ps(&supervisor));
    supervisor.kill();
    supervisor.start_again(&player.options());
    let mut client = supervisor.connect();
    let batch_id = over.batch["batch_id"].as_str().unwrap();
    let rows = client.call("batch.rows", &json!({ "batch_id": batch_id })).unwrap();
    check(&rows["rows"][0]);
    assert_eq!(get(&mut client, batch_id)["warnings"], 1);
    assert_eq!(listed(&supervisor)["warnings"], 1);
    assert!(ps(&supervisor).contains("succeeded (1 warning)"), "{}", ps(&supervisor));
}

#[test]
fn strictness_is_the_plans_and_counts_for_needs_halts_hooks_and_the_outcome() {
    let player = Player::new(&[("good", &good("42"))]);
    let supervisor = Supervisor::start(&player.options());
    let told = supervisor.scratch().join("told");
    let hook = |name: &str| {
        let facts = "$CC_EXECUTOR_VERDICT $CC_EXECUTOR_WARNINGS";
        json!({"command": format!("echo {name} {facts} >> {}", told.display())})
    };
    let hooks = json!({"after_task": hook("task"), "after_batch": hook("batch")});
    let tasks = || {
        [
            json!({"name": "a", "prompt": "good"}),
            json!({"name": "b", "command": "echo {{tasks.a.result}}"}),
        ]
    };
    let over = run(&supervisor, &plan_with(json!({"hooks": hooks}), tasks()));
    assert_eq!(
        (&over.batch["outcome"], &over.rows[1]["result"]),
        (&"succeeded".into(), &"42".into())
    );
    assert_eq!(fs::read_to_string(&told).unwrap(), "task succeeded 1\ntask succeeded 0\nbatch 1\n");
    fs::remove_file(&told).unwrap();
    let over = run(&supervisor, &plan_with(json!({"strict": true, "hooks": hooks}), tasks()));
    assert_eq!(over.batch["outcome"], "failed");
    assert_eq!(over.batch["counts"]["failed"], 1);
    let row = &over.rows[0];
    assert_eq!((&row["verdict"], &row["reason"]), (&"failed".into(), &"exit".into()));
    assert_eq!((&row["exit_code"], &row["attempts"][0]["verdict"]), (&0.into(), &"failed".into()));
    assert!(row["error"].as_str().unwrap().contains("strict"), "{row}");
    assert_eq!((&row["result"], row["warnings"].as_array().unwrap().len()), (&"42".into(), 1));
    assert_eq!(over.rows[1]["state"], "skipped");
    assert_eq!(fs::read_to_string(&told).unwrap(), "task failed 1\nbatch 1\n");
    let over = run(&supervisor, &plan_with(json!({"strict": true}), [json!({"command": "true"})]));
    assert_eq!(over.batch["outcome"], "succeeded");
}

#[test]
fn the_last_words_of_earlier_attempts_outlive_their_supervisor() {
    let player = Player::new(&[]);
    let mut supervisor = Supervisor::start(&player.options());
    let mark = supervisor.scratch().join("mark");
    let line = format!(
        "if mkdir {0} 2>/dev/null; then seq 9999 >&2; exit 75; fi; echo second; exit 3",
        mark.display()
    );
    let mut client = supervisor.connect();
    let task = json!({"command": line, "retries": 1});
    let batch_id = cc_tests::batches::submit(&mut client, &plan([task]));
    let row = |supervisor: &Supervisor| {
        let mut client = supervisor.connect();
        let rows = client.call("batch.rows", &json!({ "batch_id": batch_id })).unwrap();
        rows["rows"][0].clone()
    };
    wait_until("it is between two attempts", || row(&supervisor)["state"] == "retrying");
    drop(client);
    supervisor.kill();
    supervisor.start_again(&player.options());
    wait_until("it is over", || row(&supervisor)["state"] == "over");
    let row = row(&supervisor);
    let first = row["attempts"][0]["stderr_tail"].as_str().unwrap();
    assert!(first.ends_with("9998\n9999") && first.len() <= 1_024, "{first}");
    assert_eq!(row["attempts"][1]["stdout_tail"], "second");
}
