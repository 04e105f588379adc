//! The promises hold without any privilege: a supervisor that is an ordinary user's, without a cgroup.
//!
//! The other suites may run as root, where a signal always arrives and a limit never bites.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use cc_tests::{
    Options, Supervisor,
    binaries::{self, misbehave_argv},
    processes::{self, Process},
    unique_tag,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// `None`, loudly, where that cannot be tried.
fn options() -> Option<Options> {
    Some(Options::of_an_ordinary_user()?.flag("--grace", 1))
}

#[test]
fn a_task_runs_and_is_the_same_ordinary_user() {
    let Some(options) = options() else { return };
    let supervisor = Supervisor::start(&options);
    let transcript = supervisor.connect().run_shell("id -u; id -G");
    assert_eq!(transcript.stdout(), "65534\n65534\n");
}

#[test]
fn nothing_is_left_behind_whatever_the_task_was() {
    let Some(options) = options() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let tag = unique_tag("ordinary");
    for arguments in [
        &["daemon", "holding", &tag][..],
        &["daemon", "closing", &tag],
        &["setsid-sleepers", "50", "exit", &tag],
        &["stopped-child", "exit", &tag],
        &["comet", "exit", &tag],
    ] {
        let transcript = client.run_to_end(&json!({"argv": misbehave_argv(arguments)}));
        assert_eq!(transcript.end(), ("exit", 0));
        let left = processes::survivors(&tag);
        assert!(left.is_empty(), "{arguments:?}: {}", processes::describe(&left));
        assert_ne!(transcript.completed()["killed_leftovers"], 0);
    }
}

#[test]
fn the_deaf_and_the_forking_are_canceled() {
    let Some(options) = options() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let tag = unique_tag("ordinary");
    for arguments in [&["ignore-term", &tag][..], &["respawn", "10", &tag], &["stop-self", &tag]] {
        let answer = client.execute(&json!({"argv": misbehave_argv(arguments)})).unwrap();
        let events = client.recv_until_method("process.output");
        client.control("CANCEL").unwrap();
        let transcript = client.collect_after(answer, events);
        assert_eq!(transcript.completed()["reason"], "canceled");
        let left = processes::survivors(&tag);
        assert!(left.is_empty(), "{arguments:?}: {}", processes::describe(&left));
    }
}

#[test]
fn the_tree_of_a_killed_worker_is_found() {
    let Some(options) = options() else { return };
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let tag = unique_tag("ordinary");
    let argv = misbehave_argv(&["setsid-sleepers", "5", "stay", &tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    let events = client.recv_until_output("the sleepers sleep");
    let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    Process::open(processes::parent(main).unwrap()).unwrap().signal(Signal::KILL);
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.completed()["reason"], "worker_died");
    assert!(processes::survivors(&tag).is_empty());
}

#[test]
fn a_task_starts_as_cleanly_as_under_root() {
    let Some(options) = options() else { return };
    let supervisor = Supervisor::start(&options.env("KEPT", "yes"));
    let mut client = supervisor.connect();
    let transcript = client.run_to_end(&json!({"argv": misbehave_argv(&["report"])}));
    let report: Value = serde_json::from_str(&transcript.stdout()).unwrap();
    assert_eq!(report["environment"]["KEPT"], "yes");
    assert_eq!(report["session"], report["pid"]);
}

/// The supervisor as a user of its own, of whom so many processes and threads may run.
fn started_with_processes(
    limit: u32,
    user_id: u32,
    state: &std::path::Path,
) -> std::process::Output {
    let user = format!("--reuid={user_id}");
    let processes = format!("--nproc={limit}:{limit}");
    Command::new("timeout")
        .args(["20", "setpriv", &user, "--clear-groups", "prlimit", &processes])
        .arg(binaries::supervisor())
        .args([
            "--no-config",
            "--listen",
            "127.0.0.1:0",
            "--cgroup",
            "off",
            "--stop-on-stdin-eof",
            "--state-dir",
        ])
        .arg(state)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn where_no_threads_can_be_made_it_says_so_and_exits_or_it_serves_without_a_panic() {
    if options().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let mut refused = 0;
    for limit in 1..=6 {
        let output = started_with_processes(
            limit,
            60_000 + limit,
            &directory.path().join(limit.to_string()),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked") && !said.contains("backtrace"), "{limit}: {said}");
        match output.status.code() {
            Some(0) => assert!(output.stdout.starts_with(b"listening on "), "{limit}: {said}"),
            Some(1) => {
                refused += 1;
                assert!(said.contains("no thread could be made"), "{limit}: {said}");
                assert_eq!(output.stdout, b"", "{limit}");
            }
            other => panic!("{limit}: {other:?} {said}"),
        }
    }
    assert!(refused >= 3, "{refused}");
}

/// Sets how many processes and threads the user of the supervisor and of its keepers may have.
fn limit_processes(supervisor: &Supervisor, soft: &str) {
    for pid in std::iter::once(supervisor.pid()).chain(supervisor.keepers()) {
        let user = format!("--reuid={RESTING_USER}");
        let group = format!("--regid={RESTING_USER}");
        let (pid, limit) = (format!("--pid={pid}"), format!("--nproc={soft}:"));
        let status = Command::new("setpriv")
            .args([&user, &group, "--clear-groups", "prlimit", &pid, &limit])
            .status();
        assert!(status.unwrap().success());
    }
}

/// Nobody else's processes count.
const RESTING_USER: u32 = 60_100;

#[test]
fn a_want_of_processes_after_a_long_rest_is_an_answer_and_leaves_no_task_without_an_end() {
    if options().is_none() {
        return;
    }
    let options = Options::new().as_user(RESTING_USER).flag("--grace", 1).flag("--max-tasks", 4);
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("true").end(), ("exit", 0));
    // Longer than a thread without work is usually kept.
    std::thread::sleep(Duration::from_secs(11));
    limit_processes(&supervisor, "1");
    // More than may run at once, so that one which is lost would be missed.
    for _ in 0..6 {
        let error = client.execute(&json!({"command": "true"})).unwrap_err();
        assert_eq!(error["code"], -32017, "{error}");
        assert_eq!(error["data"]["retryable"], true, "{error}");
    }
    limit_processes(&supervisor, "500");
    assert_eq!(client.run_shell("true").end(), ("exit", 0));
    assert!(!supervisor.log().contains("panicked"), "{}", supervisor.log());
}
