//! What the supervisor's log says of a CLI that was never tested: its version, and what its stream has that
//! is not known. Told once, whatever the number of tasks, and nothing is refused because of it.

use std::fs;

use cc_tests::{Options, Supervisor, binaries::install_script};
use serde_json::json;

/// A stream of a version to come: new lines, new members, and an answer.
fn stream(version: &str) -> String {
    [
        json!({
            "type": "system", "subtype": "init", "session_id": "s", "model": "m",
            "claude_code_version": version,
        }),
        json!({"type": "telepathy", "session_id": "s", "thought": "hm"}),
        json!({
            "type": "result", "subtype": "success", "is_error": false, "num_turns": 1, "result": "4",
            "session_id": "s", "total_cost_usd": 0.25,
        }),
    ]
    .map(|line| format!("{line}\n"))
    .concat()
}

fn log_after_three_tasks(version: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("claude");
    let said = folder.path().join("said");
    fs::write(&said, stream(version)).unwrap();
    install_script(&agent, &format!("#!/bin/sh\nexec cat '{}'\n", said.display()));
    let mut supervisor =
        Supervisor::start(&Options::new().flag("--agent", agent.to_str().unwrap()));
    let mut client = supervisor.connect();
    for _ in 0..3 {
        let transcript = client.run_to_end(&json!({"prompt": "hi"}));
        assert_eq!(transcript.completed()["verdict"], "succeeded", "{}", transcript.completed());
        assert!(transcript.stdout().contains("telepathy"), "it passes through untouched");
    }
    drop(client);
    assert!(supervisor.stop().success());
    supervisor.log()
}

#[test]
fn a_newer_cli_and_lines_that_nobody_knows_are_told_once() {
    let log = log_after_three_tasks("9.0.0");
    assert_eq!(log.matches("is newer than the newest that is tested").count(), 1, "{log}");
    let about_lines = log.lines().filter(|line| line.contains("telepathy")).count();
    assert_eq!(about_lines, 1, "{log}");
}

#[test]
fn a_tested_cli_is_no_news() {
    let log = log_after_three_tasks("2.1.332");
    assert!(!log.contains("newer than the newest"), "{log}");
}
