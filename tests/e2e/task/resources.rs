//! Limits of tasks: who sets them, what they count, and what is said when they are used up.

use std::fs;

use cc_tests::{Options, Supervisor, cgroup::Containment};
use serde_json::json;

#[test]
fn a_limit_of_open_files_holds_and_a_request_can_only_lower_it() {
    let supervisor = Supervisor::start(&Options::new().flag("--task-open-files", 64));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"command": "ulimit -Sn; ulimit -Hn"})).unwrap();
    assert_eq!(
        answer["isolation"]["limits"],
        json!({"open_files": {"limit": 64, "per": "process"}})
    );
    assert_eq!(client.collect(answer).stdout(), "64\n64\n");
    let lower = client.run_to_end(&json!({"command": "ulimit -n", "max_open_files": 32}));
    assert_eq!(lower.stdout(), "32\n");
    let error = client.execute(&json!({"command": "true", "max_open_files": 65})).unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["field"]),
        (&json!(-32602), &json!("max_open_files"))
    );
    assert_eq!(error["data"]["limit"], 64);
}

#[test]
fn without_a_controller_a_limit_of_memory_is_one_of_each_process() {
    let supervisor = Supervisor::start(&Options::new().flag("--task-memory", 200 << 20));
    let mut client = supervisor.connect();
    let params = json!({"argv": ["python3", "-c", "x = bytearray(300 << 20)"]});
    let answer = client.execute(&params).unwrap();
    assert_eq!(
        answer["isolation"]["limits"],
        json!({"memory_bytes": {"limit": 200 << 20, "per": "process"}})
    );
    let transcript = client.collect(answer);
    assert!(transcript.stderr().contains("MemoryError"), "{}", transcript.stderr());
}

#[test]
fn without_a_controller_an_ordinary_user_has_a_limit_of_processes_and_root_has_none() {
    let limited = |options: Options| {
        let supervisor = Supervisor::start(&options.flag("--task-processes", 500));
        let mut client = supervisor.connect();
        let answer = client.execute(&json!({"argv": ["bash", "-c", "ulimit -u"]})).unwrap();
        let limits = answer["isolation"]["limits"].clone();
        (limits, client.collect(answer).stdout())
    };
    let Some(ordinary) = Options::of_an_ordinary_user() else { return };
    let (limits, said) = limited(ordinary);
    assert_eq!(limits, json!({"processes": {"limit": 500, "per": "user"}}));
    assert_eq!(said, "500\n");
    let (limits, said) = limited(Options::new());
    assert!(limits.is_null(), "what is not in force is not reported: {limits}");
    assert_ne!(said, "500\n");
}

#[test]
fn a_limit_that_cannot_be_had_is_reported_at_the_start() {
    let Some(containment) = Containment::cgroup() else { return };
    let supervisor = Supervisor::start(&containment.options().flag("--task-cpu", 50));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"argv": ["true"]})).unwrap();
    let in_force = &answer["isolation"]["limits"]["cpu_percent"];
    let is_said = supervisor.log().contains("not all cgroup controllers can be had");
    assert!(is_said == in_force.is_null(), "{answer}\n{}", supervisor.log());
    drop(client.collect(answer));
}

/// The containment, if its hierarchy has this controller to give.
fn with_controller(name: &str) -> Option<Containment> {
    let containment = Containment::cgroup()?;
    let Containment::Cgroup(root) = &containment else { return None };
    let there = fs::read_to_string(root.path().parent()?.join("cgroup.subtree_control")).ok()?;
    if there.split_whitespace().any(|controller| controller == name) {
        return Some(containment);
    }
    eprintln!("SKIPPED: the cgroup controller {name} is not to be had here");
    None
}

#[test]
fn a_task_that_is_out_of_memory_ends_as_that() {
    let Some(containment) = with_controller("memory") else { return };
    let supervisor = Supervisor::start(&containment.options().flag("--task-memory", 64 << 20));
    let mut client = supervisor.connect();
    let params = json!({"argv": ["python3", "-c", "x = bytearray(300 << 20)"]});
    let transcript = client.run_to_end(&params);
    let end = transcript.completed();
    assert_eq!(
        (&end["reason"], &end["verdict"]),
        (&json!("resource_limit"), &json!("resource_limit"))
    );
    assert_eq!(end["warnings"][0]["kind"], "out_of_memory");
    assert!(end["error"].as_str().unwrap().starts_with("out of memory"), "{end}");
    assert_eq!(client.run_shell("echo well").stdout(), "well\n", "no other task is concerned");
}

#[test]
fn a_task_has_no_more_processes_than_its_limit_and_others_have_theirs() {
    let Some(containment) = with_controller("pids") else { return };
    let supervisor = Supervisor::start(&containment.options().flag("--task-processes", 20));
    let mut client = supervisor.connect();
    let command = "for i in $(seq 40); do sleep 60 & done; echo end";
    let transcript = client.run_to_end(&json!({"argv": ["bash", "-c", command]}));
    assert!(transcript.stderr().contains("fork"), "{}", transcript.stderr());
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
}
