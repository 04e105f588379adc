//! The promises hold without any privilege: a supervisor that is an ordinary user's, without a cgroup.
//!
//! The other suites may run as root, where a signal always arrives and a limit never bites.

use cc_tests::{
    Options, Supervisor,
    installed::misbehave_argv,
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
fn the_deaf_and_the_forking_are_cancelled() {
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
