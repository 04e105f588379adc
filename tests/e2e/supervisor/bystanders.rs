//! Descent is not ownership: processes that are children of the supervisor, but that no task has started, are left alone.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use cc_tests::{
    Client, Options, Supervisor, binaries,
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, Process},
    requests, unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::keeper::{death, family};

/// Processes that a wrapper starts before it becomes the supervisor: its children, and none of its business.
struct Bystanders {
    notes: TempDir,
}

impl Bystanders {
    fn new() -> Self {
        Self { notes: tempfile::tempdir().unwrap() }
    }

    fn note(&self) -> PathBuf {
        self.notes.path().join("pids")
    }

    /// `sleep & exec cc-supervisor`, in one way and another.
    fn wrapper(&self) -> String {
        let note = self.note().display().to_string();
        let quiet = "< /dev/null > /dev/null 2>&1";
        format!(
            "env -i sleep 600 {quiet} & echo $! >> {note}; \
             env -i setsid sh -c 'sleep 600 & echo $! >> {note}; wait' {quiet} & echo $! >> {note}; \
             exec \"$@\""
        )
    }

    fn options(&self) -> Options {
        Options::new().flag("--grace", 1).wrapped_in(["sh", "-c", &self.wrapper(), "sh"])
    }

    /// All that the wrapper's lives have started.
    fn all(&self, starts: usize) -> Vec<Process> {
        let pids = || {
            let text = fs::read_to_string(self.note()).unwrap_or_default();
            text.lines().map(|line| line.parse().unwrap()).collect::<Vec<i32>>()
        };
        wait_until("all are started", || pids().len() == 3 * starts);
        pids().into_iter().map(|pid| Process::open(pid).unwrap()).collect()
    }

    fn assert_untouched(&self, starts: usize) {
        for bystander in self.all(starts) {
            let state = processes::state(bystander.pid);
            assert_eq!(state.as_deref(), Some("S"), "{}", processes::describe(&[bystander.pid]));
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        let pids = fs::read_to_string(self.note()).unwrap_or_default();
        let pids: Vec<i32> = pids.lines().filter_map(|line| line.parse().ok()).collect();
        processes::kill_all(&pids);
    }
}

#[test]
fn what_a_wrapper_had_started_outlives_workers_a_crash_a_restart_and_a_stop() {
    let bystanders = Bystanders::new();
    let mut supervisor = Supervisor::start(&bystanders.options());
    let mut client = supervisor.connect();
    let tag = unique_tag("family");
    let answer = family(&mut client, &tag);
    requests::worker(&answer).signal(Signal::KILL);
    death(&mut client, &answer);
    processes::assert_gone(&tag);
    bystanders.assert_untouched(1);
    // One whose worker dies while there is no supervisor.
    let answer = family(&mut client, &tag);
    supervisor.kill();
    requests::worker(&answer).signal(Signal::KILL);
    supervisor.start_again(&bystanders.options());
    death(&mut supervisor.connect(), &answer);
    processes::assert_gone(&tag);
    bystanders.assert_untouched(2);
    assert!(supervisor.stop().success());
    bystanders.assert_untouched(2);
}

#[test]
fn a_bystander_that_ends_is_reaped() {
    let bystanders = Bystanders::new();
    let supervisor = Supervisor::start(&bystanders.options());
    let child = bystanders.all(1).remove(0);
    assert_eq!(processes::parent(child.pid), Some(supervisor.pid()));
    child.signal(Signal::TERM);
    wait_until("it is reaped", || processes::state(child.pid).is_none());
    assert_eq!(supervisor.connect().run_shell("echo well").stdout(), "well\n");
}

#[test]
fn ccx_does_not_count_what_its_wrapper_had_started_as_left_behind() {
    let bystanders = Bystanders::new();
    let tasks = bystanders.notes.path().join("tasks.jsonl");
    fs::write(&tasks, "{\"command\": \"true\"}\n").unwrap();
    let output = Command::new("sh")
        .args(["-c", &bystanders.wrapper(), "sh"])
        .arg(binaries::directory().join("ccx"))
        .arg("batch")
        .arg(&tasks)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("processes left behind: 0"), "{said}");
    bystanders.assert_untouched(1);
}

/// A supervisor that is process 1 of a pid namespace of its own, started by a shell there.
struct ProcessOne {
    unshare: Child,
    address: std::net::SocketAddr,
    _state: TempDir,
}

impl ProcessOne {
    /// `None`, loudly, where that cannot be made.
    fn start(before: &str, cgroup: Option<&Path>) -> Option<Self> {
        let in_a_namespace = ["-pf", "--kill-child", "--mount-proc"];
        let tried = Command::new("unshare").args(in_a_namespace).arg("true").status();
        if !tried.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no pid namespaces here");
            return None;
        }
        let state = tempfile::tempdir().unwrap();
        let cgroup = cgroup.map_or("off".into(), |path| path.display().to_string());
        let mut unshare = Command::new("unshare")
            .args(in_a_namespace)
            .args(["sh", "-c", &format!("{before}\nexec \"$@\""), "sh"])
            .arg(binaries::supervisor())
            // A task kills its worker here.
            .args(["--allow-outside-signals", "--no-config", "--listen", "127.0.0.1:0"])
            .args(["--cgroup", &cgroup, "--state-dir"])
            .arg(state.path().join("state"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(unshare.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ws://").unwrap();
        let address = address.strip_suffix("/ws/mcp").unwrap().parse().unwrap();
        Some(Self { unshare, address, _state: state })
    }

    fn pid(&self) -> i32 {
        processes::children(self.unshare.id().cast_signed())[0]
    }

    /// Its children but for its keepers.
    fn strangers(&self) -> Vec<i32> {
        let mut children = processes::children(self.pid());
        children.retain(|pid| processes::name(*pid).as_deref() != Some("cc-keeper"));
        children
    }
}

impl Drop for ProcessOne {
    fn drop(&mut self) {
        // With it, which is process 1, all others go.
        self.unshare.kill().unwrap();
        self.unshare.wait().unwrap();
    }
}

#[test]
fn as_process_1_it_reaps_strangers_and_does_nothing_else_to_them() {
    let mut gate = Fifo::create();
    // A database that outlives its parent, and a daemon that will end.
    let before = format!(
        "sh -c 'env -i setsid sleep 600 < /dev/null > /dev/null & \
         setsid sh -c \"read go < {}\" < /dev/null > /dev/null &'",
        gate.path()
    );
    let Some(supervisor) = ProcessOne::start(&before, None) else { return };
    wait_until("both are its children", || supervisor.strangers().len() == 2);
    let strangers: Vec<Process> =
        supervisor.strangers().into_iter().map(|pid| Process::open(pid).unwrap()).collect();
    let mut client = Client::connect(supervisor.address);
    let mut order = Fifo::create();
    let command = format!("read go < {}; kill -9 $PPID; sleep 600", order.path());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    order.release();
    let transcript = client.collect_after(answer, Vec::new());
    assert_eq!(transcript.completed()["reason"], "worker_died");
    for stranger in &strangers {
        assert_eq!(processes::state(stranger.pid).as_deref(), Some("S"));
    }
    gate.release();
    wait_until("the one that has ended is reaped", || supervisor.strangers().len() == 1);
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
}

#[test]
fn a_supervisor_in_another_pid_namespace_removes_nothing_of_the_first() {
    let Some(containment) = Containment::cgroup() else { return };
    let Containment::Cgroup(root) = &containment else { unreachable!("made with a cgroup") };
    let first = Supervisor::start(&containment.options());
    let parent = root.path().join(format!("cc-executor-{}", first.pid()));
    assert!(parent.is_dir());
    for round in 0..2 {
        // Both of these have the pid 1, as in containers.
        let Some(second) = ProcessOne::start("", Some(root.path())) else { return };
        let mut client = Client::connect(second.address);
        // When it serves, it has removed what it took for abandoned; its task shows that it uses the place.
        let answer = client.execute(&json!({"argv": ["echo", "well"]})).unwrap();
        assert_eq!(answer["containment"], "cgroup", "round {round}");
        assert_eq!(client.collect_after(answer, Vec::new()).end(), ("exit", 0));
        assert!(parent.is_dir(), "round {round}");
    }
    let answer = first.connect().execute(&json!({"argv": ["true"]})).unwrap();
    assert_eq!(answer["containment"], "cgroup");
    // What the second ones left, having been killed, is removed by the next who starts here.
    let third = Supervisor::start(&containment.options());
    let left = |name: &str| root.path().join(name).exists();
    wait_until("it is removed", || !left("cc-executor-1") && !left("cc-executor-1-2"));
    assert!(parent.is_dir());
    drop(third);
}
