//! The supervisor's log: its form, what each line names, what it never says, and that its reader may sleep.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path};

use cc_tests::{Client, Options, Supervisor, http, wait_until};
use serde_json::{Value, json};

/// Every line of a log in the form for programs.
fn lines(supervisor: &Supervisor) -> Vec<Value> {
    let log = supervisor.log();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

fn with_message(supervisor: &Supervisor, part: &str) -> Option<Value> {
    lines(supervisor)
        .into_iter()
        .find(|line| line["message"].as_str().is_some_and(|text| text.contains(part)))
}

#[test]
fn where_no_terminal_reads_it_each_line_is_an_object_and_those_about_a_task_name_it() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell("echo hello");
    wait_until("its end is logged", || with_message(&supervisor, "task ended").is_some());
    for message in ["task started", "task ended"] {
        let line = with_message(&supervisor, message).unwrap();
        assert_eq!(line["task_id"], transcript.task_id(), "{line}");
        assert_eq!(line["session_id"], client.connected()["session_id"], "{line}");
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].is_string());
    }
}

#[test]
fn a_person_gets_another_form_where_it_is_asked_for() {
    let supervisor = Supervisor::start(&Options::new().flag("--log-format", "pretty"));
    let log = supervisor.log();
    assert!(log.contains(" INFO ") && !log.starts_with('{'), "{log}");
}

#[test]
fn every_time_limit_that_passes_is_a_warning_with_its_kind_its_limit_and_the_ids() {
    let options = Options::new()
        .flag("--handshake-timeout", 1)
        .flag("--resume-grace", 1)
        .flag("--heartbeat", 1);
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let session_id = client.connected()["session_id"].clone();
    let total = client.run_to_end(&json!({"argv": ["sleep", "60"], "timeout": 0.5}));
    let idle = client.run_to_end(&json!({"argv": ["sleep", "60"], "idle_timeout": 0.5}));
    // A connection that sends nothing, and a client that does not answer pings and does not come back.
    let silent = http::connect(supervisor.address());
    let of_kind = |kind: &str| lines(&supervisor).into_iter().find(|line| line["timeout"] == kind);
    for (kind, id, value) in [
        ("total", "task_id", json!(total.task_id())),
        ("idle", "task_id", json!(idle.task_id())),
        ("handshake", "level", json!("WARN")),
        ("heartbeat", "session_id", session_id.clone()),
        ("resume_grace", "session_id", session_id),
    ] {
        wait_until(kind, || of_kind(kind).is_some());
        let line = of_kind(kind).unwrap();
        assert_eq!(line["level"], "WARN", "{line}");
        assert_eq!(line[id], value, "{line}");
        let has_limit = line["limit"].is_string() || line["limit_ms"].is_number();
        assert!(has_limit, "{line}");
        let page = http::get(supervisor.address(), "/metrics", &[]).body;
        let sample = format!("cc_executor_timeouts_total{{kind=\"{kind}\"}} 1");
        assert!(page.contains(&sample), "{sample} in {page}");
    }
    drop(silent);
}

#[test]
fn no_secret_is_in_it_at_any_level() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "a-token-of-the-test\n").unwrap();
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, own).unwrap();
    let options = Options::new()
        .flag("--token-file", token.display())
        .flag("--log-level", "trace")
        .env("SECRET_OF_THE_HOUSE", "secret-of-the-house");
    let mut supervisor = Supervisor::start(&options);
    let header = "Authorization: Bearer a-token-of-the-test";
    assert_eq!(http::upgrade(supervisor.address(), "/ws/mcp", &[header]).status, 101);
    let wrong = "Authorization: Bearer a-wrong-token-of-the-test";
    assert_eq!(http::upgrade(supervisor.address(), "/ws/mcp", &[wrong]).status, 401);
    let header = ("sec-websocket-protocol", "bearer.a-token-of-the-test");
    let mut client = Client::open(supervisor.address(), "/ws/mcp", &[header]).unwrap();
    let greeting = client.recv_json();
    let resume = greeting["params"]["resume_token"].as_str().unwrap().to_owned();
    let mut command = json!({"command": "echo $KEY"});
    command["env"] = json!({"KEY": "a-key-of-the-task"});
    drop(client.run_to_end(&command));
    client.close();
    assert!(supervisor.stop().success());
    let log = supervisor.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it says more than usual");
    for secret in ["token-of-the-test", "secret-of-the-house", "a-key-of-the-task", &resume] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// A pipe that is open for reading and never read.
fn unread_pipe(path: &Path) -> std::fs::File {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

#[test]
fn a_reader_that_sleeps_stops_nothing_and_what_it_misses_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stderr");
    let pipe = unread_pipe(&path);
    let path = path.to_str().unwrap();
    let options = Options::new().flag("--log-level", "trace").wrapped_in([
        "sh",
        "-c",
        r#"exec "$@" 2> "$0""#,
        path,
    ]);
    let mut supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    // The pipe holds 64 KiB, the queue 256 KiB; two lines of a task have its label.
    let label = "a".repeat(1000);
    let dropped = || {
        let page = http::get(supervisor.address(), "/metrics", &[]).body;
        let line =
            page.lines().find(|line| line.starts_with("cc_executor_log_lines_dropped_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    wait_until("lines are dropped", || {
        for _ in 0..20 {
            drop(client.run_to_end(&json!({"argv": ["true"], "label": label})));
        }
        dropped() > 0
    });
    assert_eq!(client.run_shell("echo works").stdout(), "works\n");
    assert_eq!(page_status(&supervisor), 200);
    assert!(supervisor.stop().success());
    drop(pipe);
}

fn page_status(supervisor: &Supervisor) -> u16 {
    http::get(supervisor.address(), "/readyz", &[]).status
}
