//! `ccx doctor`, as a person meets it before the first night. The agent is a script that keeps what it was
//! asked, so that a question that could cost something would be seen.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use cc_tests::{Options, Supervisor, binaries, processes, unique_tag};
use serde_json::Value;
use tempfile::TempDir;

const TESTED: &str = "2.1.332 (Claude Code)";
const LOGGED_IN: &str = r#"{"loggedIn": true, "authMethod": "oauth_token"}"#;
const LOGGED_OUT: &str = r#"{"loggedIn": false, "authMethod": "none"}"#;

/// A home with an agent in it.
struct Home {
    folder: TempDir,
    agent: PathBuf,
}

impl Home {
    fn new(version: &str, auth_status: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("claude");
        let asked = folder.path().join("asked");
        let text = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\ncase $1 in\n--version) echo '{version}' ;;\n\
             auth) echo '{auth_status}' ;;\n*) echo 'this would have cost something' ;;\nesac\n",
            asked.display()
        );
        binaries::install_script(&agent, &text);
        Self { folder, agent }
    }

    fn doctor(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .arg("doctor")
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("CC_EXECUTOR_CGROUP", "off")
            .env(binaries::NO_CONFIG, "1")
            .stdin(Stdio::null());
        if !arguments.contains(&"--agent") {
            command.arg("--agent").arg(&self.agent);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Report {
        Report::of(self.doctor(&binaries::ccx(), arguments))
    }

    /// What the agent was asked, in order.
    fn asked(&self) -> String {
        fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
    }
}

/// What it printed, and how it exited.
struct Report {
    text: String,
    exit_code: Option<i32>,
}

impl Report {
    fn of(mut command: Command) -> Self {
        let Output { stdout, stderr, status } = command.output().unwrap();
        let text = String::from_utf8(stdout).unwrap();
        assert_eq!(String::from_utf8_lossy(&stderr), "", "{text}");
        Self { text, exit_code: status.code() }
    }

    /// The lines about this.
    fn lines(&self, what: &str) -> Vec<&str> {
        let is_about = |line: &&str| line.get(6..).is_some_and(|rest| rest.starts_with(what));
        self.text.lines().filter(is_about).collect()
    }

    /// The only line about this.
    fn line(&self, what: &str) -> &str {
        let lines = self.lines(what);
        assert_eq!(lines.len(), 1, "{what}: {}", self.text);
        lines[0]
    }
}

#[test]
fn what_is_ready_for_a_night_is_said_without_asking_a_model_and_leaves_nothing() {
    let home = Home::new(TESTED, LOGGED_IN);
    let tag = unique_tag("doctor");
    let mut command = home.doctor(&binaries::ccx(), &[]);
    command.env("CLAUDE_CODE_OAUTH_TOKEN", "a-secret").env("CC_TEST_TAG", &tag);
    let report = Report::of(command);
    assert_eq!(report.exit_code, Some(0), "{}", report.text);
    assert!(report.line("agent").starts_with("ok "), "{}", report.text);
    assert!(report.line("login").contains("CLAUDE_CODE_OAUTH_TOKEN"), "{}", report.text);
    assert!(report.line("containment").contains("subreaper"), "{}", report.text);
    assert_eq!(report.lines("programs").len(), 3, "{}", report.text);
    assert!(!report.text.contains("a-secret"), "{}", report.text);
    assert!(report.text.ends_with("No model was called, and nothing was spent.\n"));
    assert_eq!(home.asked(), "--version\nauth status\n");
    let left = processes::with_environment(&tag);
    assert!(left.is_empty(), "left behind: {}", processes::describe(&left));
}

#[test]
fn a_version_that_is_not_tested_is_a_warning_and_no_failure() {
    for (version, words) in
        [("9.0.0 (Claude Code)", "newer than the newest"), ("2.0.1", "older than the oldest")]
    {
        let report = Home::new(version, LOGGED_IN).run(&[]);
        let line = report.line("agent");
        assert!(line.starts_with("warn") && line.contains(words), "{}", report.text);
        assert!(line.contains("npm install"), "what to do: {}", report.text);
        assert_eq!(report.exit_code, Some(0), "{}", report.text);
    }
}

#[test]
fn a_program_that_might_take_the_question_for_a_prompt_is_asked_for_its_version_alone() {
    for version in ["2.0.1 (Claude Code)", "an agent of my own, version 3"] {
        let home = Home::new(version, LOGGED_IN);
        let report = home.run(&[]);
        assert!(report.line("login").starts_with("skip"), "{}", report.text);
        assert_eq!(home.asked(), "--version\n");
    }
}

#[test]
fn nobody_logged_in_fails_and_a_key_that_is_here_is_explained() {
    let home = Home::new(TESTED, LOGGED_OUT);
    let mut command = home.doctor(&binaries::ccx(), &[]);
    command.env("ANTHROPIC_API_KEY", "a-stale-key");
    let report = Report::of(command);
    assert_eq!(report.exit_code, Some(1));
    let line = report.line("login");
    assert!(line.starts_with("fail") && line.contains("claude setup-token"), "{}", report.text);
    assert!(line.contains("--env ANTHROPIC_API_KEY"), "{}", report.text);
    assert!(report.line("api key").contains("is not passed on"), "{}", report.text);
    assert!(!report.text.contains("a-stale-key"), "{}", report.text);
}

#[test]
fn an_agent_that_is_not_there_fails_and_everything_else_is_looked_at() {
    let report = Home::new(TESTED, LOGGED_IN).run(&["--agent", "no-such-agent"]);
    assert_eq!(report.exit_code, Some(1));
    assert!(report.line("agent").starts_with("fail"), "{}", report.text);
    assert!(report.line("login").starts_with("skip"), "{}", report.text);
    for what in ["containment", "pipes", "open files", "state", "supervisor"] {
        assert!(report.line(what).starts_with("ok"), "{}", report.text);
    }
}

#[test]
fn without_its_companions_no_task_can_be_tried_and_that_is_said_of_each_check() {
    let home = Home::new(TESTED, LOGGED_IN);
    let alone = home.folder.path().join("ccx");
    binaries::copy_program(&binaries::ccx(), &alone);
    let report = Report::of(home.doctor(&alone, &[]));
    assert_eq!(report.exit_code, Some(1));
    let failed = report.lines("programs");
    assert_eq!(failed.iter().filter(|line| line.starts_with("fail")).count(), 2, "{}", report.text);
    for what in ["containment", "pipes", "open files", "agent", "login"] {
        assert!(report.line(what).starts_with("skip"), "{}", report.text);
    }
    assert_eq!(home.asked(), "");
}

#[test]
fn a_state_directory_that_others_can_read_is_a_warning_with_what_to_do() {
    let home = Home::new(TESTED, LOGGED_IN);
    assert!(home.run(&[]).line("state").contains("is made with the first start"));
    let state = home.folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    let report = home.run(&[]);
    let line = report.line("state");
    assert!(line.starts_with("warn") && line.contains("chmod 700"), "{}", report.text);
}

#[test]
fn a_supervisor_that_was_named_must_answer() {
    let home = Home::new(TESTED, LOGGED_IN);
    let supervisor = Supervisor::start(&Options::new());
    let report = home.run(&["--url", &supervisor.url()]);
    let line = report.line("supervisor");
    assert!(line.starts_with("ok") && line.contains(&supervisor.url()), "{}", report.text);
    let report = home.run(&["--url", "ws://127.0.0.1:1"]);
    assert!(report.line("supervisor").starts_with("fail"), "{}", report.text);
    assert_eq!(report.exit_code, Some(1));
}

#[test]
fn programs_get_an_object_for_each_check() {
    let report = Home::new(TESTED, LOGGED_OUT).run(&["--json"]);
    let findings: Vec<Value> =
        report.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let login = findings.iter().find(|finding| finding["what"] == "login").unwrap();
    assert_eq!(login["level"], "fail");
    assert!(login["advice"].as_str().unwrap().contains("log in"));
    assert!(findings.iter().all(|finding| finding["found"].is_string()));
    assert_eq!(report.exit_code, Some(1));
}

#[test]
fn what_surrounds_tasks_is_said_with_what_to_do() {
    let home = Home::new(TESTED, LOGGED_IN);
    let programs = home.folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    binaries::install_script(&programs.join("timedatectl"), "#!/bin/sh\necho no\n");
    let inner = home.doctor(&binaries::ccx(), &[]);
    // Agents start many processes: few for this user are too few.
    let mut command = Command::new("prlimit");
    command.arg("--nproc=300:300").arg(inner.get_program()).args(inner.get_args());
    let variables = inner.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).stdin(Stdio::null());
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).env("CLAUDECODE", "1");
    let report = Report::of(command);
    for (what, level, words) in [
        ("clock", "warn", "timedatectl set-ntp true"),
        ("processes", "warn", "TasksMax="),
        ("nested", "ok", "is not passed on"),
        ("settings", "ok", "ccx config show"),
        ("memory", "", "for all tasks"),
    ] {
        let line = report.line(what);
        assert!(line.starts_with(level) && line.contains(words), "{what}: {}", report.text);
    }
    if nix::unistd::geteuid().is_root() {
        let line = report.line("root");
        assert!(line.starts_with("warn") && line.contains("IS_SANDBOX=1"), "{}", report.text);
    } else {
        assert!(report.lines("root").is_empty(), "{}", report.text);
    }
    assert_eq!(report.exit_code, Some(0), "{}", report.text);
}

#[test]
fn settings_with_a_mistake_fail_with_their_line() {
    let home = Home::new(TESTED, LOGGED_IN);
    let folder = home.folder.path().join("xdg/cc-executor");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("config.toml"), "max_task = 5\n").unwrap();
    fs::set_permissions(folder.join("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = home.doctor(&binaries::ccx(), &[]);
    command.env_remove(binaries::NO_CONFIG);
    command.env("XDG_CONFIG_HOME", home.folder.path().join("xdg"));
    let report = Report::of(command);
    let line = report.line("settings");
    assert!(line.starts_with("fail") && line.contains("line 1"), "{}", report.text);
    assert!(line.contains("did you mean max-tasks?"), "{}", report.text);
    assert_eq!(report.exit_code, Some(1), "{}", report.text);
}
