//! What only a cgroup can do, and that it is really used: freezing and killing members without looking for
//! them. Skipped, loudly, where no cgroup v2 directory can be written.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use cc_tests::{
    Client, Options, PATIENCE, Supervisor, binaries::misbehave_argv, cgroup::Containment,
    processes, processes::Process, unique_tag, wait_until,
};
use serde_json::{Value, json};

/// A supervisor, and the directory in which it makes its tasks' cgroups.
fn supervisor(containment: &Containment) -> (Supervisor, PathBuf) {
    let supervisor = Supervisor::start(&containment.options().flag("--grace", 1));
    let Containment::Cgroup(root) = containment else { unreachable!("only made with a cgroup") };
    let parent = root.path().join(format!("cc-executor-{}", supervisor.pid()));
    (supervisor, parent)
}

/// Starts a task that waits, in a session of its own too; returns its cgroup.
fn start(client: &mut Client, parent: &std::path::Path, tag: &str) -> (PathBuf, Value, Vec<Value>) {
    let argv = misbehave_argv(&["setsid-sleepers", "2", "stay", tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    let earlier = client.recv_until_method("process.output");
    let leaf = parent.join(answer["task_id"].as_str().unwrap());
    (leaf, answer, earlier)
}

fn events(leaf: &std::path::Path) -> String {
    fs::read_to_string(leaf.join("cgroup.events")).unwrap()
}

#[test]
fn a_pause_freezes_the_cgroup_of_the_task_and_a_resume_thaws_it() {
    let Some(containment) = Containment::cgroup() else { return };
    let (supervisor, parent) = supervisor(&containment);
    let mut client = supervisor.connect();
    let (leaf, answer, mut events_seen) = start(&mut client, &parent, &unique_tag("frozen"));
    assert_eq!(client.control("PAUSE").unwrap(), json!({"status": "paused"}));
    assert!(events(&leaf).contains("frozen 1"));
    assert_eq!(client.control("RESUME").unwrap(), json!({"status": "resumed"}));
    assert_eq!(fs::read_to_string(leaf.join("cgroup.freeze")).unwrap().trim(), "0");
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    events_seen.extend(client.recv_until_method("process.completed"));
    assert_eq!(answer["containment"], "cgroup");
    assert!(!leaf.exists(), "the cgroup of a task that is over is removed");
}

#[test]
fn a_process_that_was_moved_into_the_cgroup_of_a_task_ends_with_it() {
    let Some(containment) = Containment::cgroup() else { return };
    let (supervisor, parent) = supervisor(&containment);
    let mut client = supervisor.connect();
    let (leaf, ..) = start(&mut client, &parent, &unique_tag("guest"));
    // It descends from this test, so only `cgroup.kill` can reach it.
    let mut guest = Command::new("sleep").arg("120").stdout(Stdio::null()).spawn().unwrap();
    let guest_pid = i32::try_from(guest.id()).unwrap();
    fs::write(leaf.join("cgroup.procs"), guest_pid.to_string()).unwrap();
    let handle = Process::open(guest_pid).unwrap();
    client.control("CANCEL").unwrap();
    client.recv_until_method("process.completed");
    assert!(handle.wait_gone(PATIENCE), "the guest has survived");
    assert_eq!(guest.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_task_that_leaves_its_cgroup_is_killed_all_the_same() {
    let Some(containment) = Containment::cgroup() else { return };
    let Containment::Cgroup(root) = &containment else { unreachable!("made with a cgroup") };
    let elsewhere = root.path().join("cgroup.procs");
    let (supervisor, _) = supervisor(&containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("escaped");
    let sleepers = misbehave_argv(&["setsid-sleepers", "3", "stay", &tag]).join("' '");
    let command = format!("echo $$ > '{}' && exec '{sleepers}'", elsewhere.display());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    let mut seen = client.recv_until_method("process.output");
    let pid = answer["pid"].as_i64().unwrap();
    let membership = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(!membership.contains(answer["task_id"].as_str().unwrap()), "{membership}");
    client.control("CANCEL").unwrap();
    seen.extend(client.recv_until_method("process.completed"));
    assert!(processes::survivors(&tag).is_empty());
}

#[test]
fn a_cgroup_directory_that_somebody_removed_is_made_anew_for_the_next_task() {
    let Some(containment) = Containment::cgroup() else { return };
    let supervisor = Supervisor::start(&containment.options());
    let Containment::Cgroup(root) = &containment else { unreachable!("made with a cgroup") };
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let parent = root.path().join(format!("cc-executor-{}", supervisor.pid()));
    wait_until("it is empty", || fs::remove_dir(&parent).is_ok());
    for _ in 0..2 {
        let answer = client.execute(&json!({"argv": ["echo", "well"]})).unwrap();
        assert_eq!(answer["containment"], "cgroup");
        assert_eq!(client.collect_after(answer, Vec::new()).end(), ("exit", 0));
    }
}

#[test]
fn where_no_cgroup_is_to_be_had_any_more_tasks_are_contained_by_the_subreaper() {
    let Some(containment) = Containment::cgroup() else { return };
    let Containment::Cgroup(root) = &containment else { unreachable!("made with a cgroup") };
    let place = root.path().join("place");
    fs::create_dir(&place).unwrap();
    let options = Options::new().flag("--cgroup", place.display());
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let parent = place.join(format!("cc-executor-{}", supervisor.pid()));
    wait_until("all is removed", || {
        fs::remove_dir(&parent).ok();
        fs::remove_dir(&place).is_ok()
    });
    let tag = unique_tag("contained");
    let command = format!("setsid bash -c 'exec -a {tag} sleep 600' & exit 3");
    let answer = client.execute(&json!({"argv": ["bash", "-c", command]})).unwrap();
    assert_eq!(answer["containment"], "subreaper");
    assert_eq!(client.collect_after(answer, Vec::new()).end(), ("exit", 3));
    processes::assert_gone(&tag);
    assert!(supervisor.log().contains("contained by the subreaper alone"));
}
