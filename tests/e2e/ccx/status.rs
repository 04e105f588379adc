//! `ccx status`: one screen and an exit code say whether a supervisor is well.

use std::process::{Command, Output};

use cc_tests::{Options, Supervisor, binaries};
use serde_json::Value;

fn status(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::ccx());
    command.env_clear().args(["--url", url, "status"]).args(arguments).output().unwrap()
}

#[test]
fn a_supervisor_that_is_well_is_shown_on_one_screen_with_exit_code_0() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    drop(client.run_shell("true"));
    drop(client.run_shell("exit 3"));
    let output = status(&supervisor.url(), &[]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{screen}");
    assert!(screen.starts_with("ok: "), "{screen}");
    assert!(screen.lines().count() <= 24, "{screen}");
    for part in
        ["pid ", "0 running of", "last hour: 1 failed, 1 succeeded", "connected of", "free of"]
    {
        assert!(screen.contains(part), "{part:?} in {screen}");
    }
    assert!(screen.contains(&format!("pid {}", supervisor.pid())), "{screen}");
}

#[test]
fn one_that_starts_no_tasks_says_why_and_what_to_do_with_exit_code_2() {
    let supervisor = Supervisor::start(&Options::new().flag("--agent", "/no/such/agent"));
    let output = status(&supervisor.url(), &[]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{screen}");
    assert!(screen.contains("NOT READY"), "{screen}");
    assert!(
        screen.contains("/no/such/agent") && screen.contains("--agent"),
        "what to do: {screen}"
    );
    let output = status(&supervisor.url(), &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["state"], "not_ready");
    assert_eq!(status["problems"][0]["condition"], "agent_missing");
    assert_eq!(status["problems"][0]["is_blocking"], true);
    assert_eq!(status["pid"], supervisor.pid());
}

#[test]
fn one_that_is_not_there_has_an_exit_code_of_its_own() {
    let supervisor = Supervisor::start_default();
    let url = supervisor.url();
    drop(supervisor);
    assert_eq!(status(&url, &[]).status.code(), Some(125));
}
