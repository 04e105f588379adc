//! The task log holds what was sent, also of a task that never ran or whose worker died.

use std::path::PathBuf;

use cc_events::EndReason;
use cc_link::record::Stream;
use cc_tests::{
    Options, Supervisor,
    binaries::misbehave_argv,
    cgroup::Containment,
    processes::{self, Process},
    task_log::TaskLog,
    unique_tag, with_both_containments,
};
use rustix::process::Signal;
use serde_json::json;

with_both_containments!(
    the_log_of_a_task_is_what_its_client_was_sent,
    the_log_of_a_killed_worker_ends_with_the_terminal_event,
    the_log_of_a_task_that_could_not_be_started_says_so,
);

/// The log of a task that has ended.
fn log(supervisor: &Supervisor, task_id: &str) -> TaskLog {
    TaskLog::read(&supervisor.task_directory(task_id).join("log"))
}

fn the_log_of_a_task_is_what_its_client_was_sent(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let argv = misbehave_argv(&["flood", "2000000"]);
    let transcript = supervisor.connect().run_to_end(&json!({ "argv": argv }));
    let log = log(&supervisor, transcript.task_id());
    assert_eq!(log.records.len(), transcript.events.len());
    assert_eq!(log.completed().reason, EndReason::Exit);
    assert_eq!(log.stream(Stream::Stdout), transcript.stdout().into_bytes());
}

fn the_log_of_a_killed_worker_ends_with_the_terminal_event(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    for _ in 0..3 {
        let mut client = supervisor.connect();
        let tag = unique_tag("log");
        let answer = client.execute(&json!({"argv": ["yes", tag]})).unwrap();
        let events = client.recv_until_output(&tag);
        let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
        Process::open(processes::parent(main).unwrap()).unwrap().signal(Signal::KILL);
        let transcript = client.collect_after(answer, events);
        let log = log(&supervisor, transcript.task_id());
        assert_eq!(log.completed().reason, EndReason::WorkerDied);
        assert_eq!(log.records.len(), transcript.events.len());
    }
}

fn the_log_of_a_task_that_could_not_be_started_says_so(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options());
    let error = supervisor.connect().execute(&json!({"argv": ["/no/such/program"]})).unwrap_err();
    let log = log(&supervisor, error["data"]["task_id"].as_str().unwrap());
    assert_eq!(log.completed().reason, EndReason::SpawnFailed);
    assert_eq!(log.records.len(), 1);
}

/// Gives the supervisor a state directory of 1 MiB, in a mount namespace of its own. Needs root.
fn on_a_small_disk() -> Options {
    Options::new().wrapped_in([
        "unshare",
        "--mount",
        "sh",
        "-c",
        "for argument in \"$@\"; do
             [ \"$before\" = --state-dir ] && directory=$argument
             before=$argument
         done
         mkdir -p \"$directory\" &&
             mount -t tmpfs -o size=1m,mode=700 tmpfs \"$directory\" && exec \"$@\"",
        "sh",
    ])
}

#[test]
fn a_full_disk_ends_the_task_with_a_clear_reason_and_harms_none_once_there_is_room() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small disk");
        return;
    }
    let supervisor = Supervisor::start(&on_a_small_disk());
    let mut client = supervisor.connect();
    let tag = unique_tag("full-disk");
    let command = format!("yes {tag} | head -c 4000000; exec sleep 120");
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let events = client.recv_until_method("process.completed");
    let completed = &events.last().unwrap()["params"];
    assert_eq!(completed["reason"], "resource_limit", "{completed}");
    assert_eq!(completed["verdict"], "resource_limit", "{completed}");
    let error = completed["error"].as_str().unwrap();
    assert!(error.contains("task log") && error.contains("No space left"), "{error}");
    assert!(processes::survivors(&tag).is_empty());
    // The disk is in the supervisor's mount namespace.
    let directory = supervisor.task_directory(answer["task_id"].as_str().unwrap());
    let seen_from_here =
        PathBuf::from(format!("/proc/{}/root{}", supervisor.pid(), directory.display()));
    // The room that it kept has taken the end, and what did not fit was neither numbered nor sent.
    let log = TaskLog::read(&seen_from_here.join("log"));
    let end = log.completed();
    assert_eq!(end.reason, EndReason::ResourceLimit);
    assert_eq!(log.records.len() as u64, completed["seq"].as_u64().unwrap());
    let kept_bytes = log.stream(Stream::Stdout).len() as u64;
    assert!(end.output.dropped_bytes > 0);
    assert_eq!(kept_bytes + end.output.dropped_bytes, end.output.bytes);
    std::fs::remove_dir_all(seen_from_here).unwrap();
    assert_eq!(client.run_shell("echo still here").end(), ("exit", 0));
}
