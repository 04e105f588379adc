//! Descent is not ownership: what a task started is ended, whatever became of its worker and its supervisor, and nobody
//! else is touched, whoever's child he is.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use cc_tests::{
    Client, Options, PATIENCE, Supervisor,
    binaries::{self, install_worker},
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, Process},
    requests::{gated, pid, task_id},
    unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

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

/// Starts a task with a child that has cleared its environment and left for a session of its own, and one that has only
/// done the latter.
fn family(client: &mut Client, tag: &str) -> Value {
    let sleeper = format!("exec -a {tag} sleep 600");
    let command = format!(
        "env -i setsid bash -c '{sleeper}' < /dev/null > /dev/null 2>&1 & \
         setsid bash -c '{sleeper}' & echo ready; wait"
    );
    let argv = ["bash", "-c", &command];
    let answer = client.execute(&json!({"argv": argv, "detach": true})).unwrap();
    // With the shell that has started them.
    wait_until("both are there", || processes::survivors(tag).len() == 3);
    answer
}

fn worker_of(answer: &Value) -> Process {
    Process::open(processes::parent(pid(answer)).unwrap()).unwrap()
}

/// Waits for the end as `worker_died`; says how many leftovers it counts, and its text.
fn death(client: &mut Client, answer: &Value) -> (u64, String) {
    let end = client.wait_for_end(task_id(answer));
    assert_eq!(end["verdict"], "worker_died", "{end}");
    let events = client.watch(task_id(answer), 0);
    let completed = &events.last().unwrap()["params"];
    assert_eq!(completed["unkillable"], 0, "{completed}");
    let text = completed["error"].as_str().unwrap().to_owned();
    (completed["killed_leftovers"].as_u64().unwrap(), text)
}

fn assert_gone(tag: &str) {
    let left = processes::survivors(tag);
    assert!(left.is_empty(), "left: {}", processes::describe(&left));
}

#[test]
fn what_a_wrapper_had_started_outlives_workers_a_crash_a_restart_and_a_stop() {
    let bystanders = Bystanders::new();
    let mut supervisor = Supervisor::start(&bystanders.options());
    let mut client = supervisor.connect();
    let tag = unique_tag("family");
    let answer = family(&mut client, &tag);
    worker_of(&answer).signal(Signal::KILL);
    death(&mut client, &answer);
    assert_gone(&tag);
    bystanders.assert_untouched(1);
    // One whose worker dies while nobody is there.
    let answer = family(&mut client, &tag);
    supervisor.kill();
    worker_of(&answer).signal(Signal::KILL);
    supervisor.start_again(&bystanders.options());
    death(&mut supervisor.connect(), &answer);
    assert_gone(&tag);
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

#[test]
fn a_process_without_environment_and_session_does_not_outlive_its_worker() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let tag = unique_tag("live");
    let answer = family(&mut client, &tag);
    worker_of(&answer).signal(Signal::KILL);
    let (killed, text) = death(&mut client, &answer);
    assert_gone(&tag);
    assert!(killed >= 2 && text.contains("SIGKILL"), "{killed} {text}");
}

#[test]
fn nor_does_it_after_another_supervisor_has_found_the_keeper() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let tag = unique_tag("adopted");
    let answer = family(&mut supervisor.connect(), &tag);
    let before = supervisor.keepers();
    supervisor.kill();
    supervisor.start_again(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    // New tasks get a keeper that is this supervisor's.
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let worker = worker_of(&answer);
    assert_eq!(processes::parent(worker.pid), before.first().copied());
    assert!(!supervisor.keepers().contains(&before[0]));
    worker.signal(Signal::KILL);
    let (killed, text) = death(&mut client, &answer);
    assert_gone(&tag);
    assert!(killed >= 2 && text.contains("SIGKILL"), "{killed} {text}");
    wait_until("the old keeper goes with its last worker", || {
        processes::state(before[0]).is_none_or(|state| state == "Z")
    });
}

#[test]
fn nor_does_it_when_both_die() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let tag = unique_tag("both");
    let answer = family(&mut supervisor.connect(), &tag);
    supervisor.kill();
    worker_of(&answer).signal(Signal::KILL);
    // Nobody has to start anything for that.
    processes::wait_until_gone(&tag);
    supervisor.start_again(&Options::new().flag("--grace", 1));
    death(&mut supervisor.connect(), &answer);
}

#[test]
fn when_its_keeper_is_killed_a_task_goes_on_and_what_its_worker_leaves_is_looked_for() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let (mut gate, tag) = (Fifo::create(), unique_tag("orphaned"));
    let running = client.execute(&gated(&gate, "echo done")).unwrap();
    let command = format!("setsid bash -c 'exec -a {tag} sleep 600' & echo ready; wait");
    let params = json!({"argv": ["bash", "-c", command], "detach": true});
    let lost = supervisor.connect().execute(&params).unwrap();
    wait_until("it is there", || !processes::survivors(&tag).is_empty());
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    keeper.signal(Signal::KILL);
    assert!(keeper.wait_gone(PATIENCE));
    let mut other = supervisor.connect();
    // There is another keeper by then, which is not this worker's.
    assert_eq!(other.run_shell("echo well").stdout(), "well\n");
    worker_of(&lost).signal(Signal::KILL);
    let (killed, text) = death(&mut other, &lost);
    assert_gone(&tag);
    assert!(killed >= 1 && text.contains("keeper"), "{killed} {text}");
    gate.release();
    assert_eq!(client.collect_after(running, Vec::new()).end(), ("exit", 0));
    let answer = family(&mut other, &tag);
    worker_of(&answer).signal(Signal::KILL);
    let (killed, text) = death(&mut other, &answer);
    assert!(killed >= 2 && !text.contains("keeper"), "the new one has seen to it: {killed} {text}");
    assert!(supervisor.log().contains("keeper of the workers has died"));
    assert!(supervisor.stop().success());
    assert!(sockets(&supervisor).is_empty(), "{:?}", sockets(&supervisor));
}

/// What there is in the directory of the keepers.
fn sockets(supervisor: &Supervisor) -> Vec<PathBuf> {
    let entries = fs::read_dir(supervisor.state_directory().join("keepers")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_replaced_program_has_a_keeper_of_its_own_and_the_old_one_goes_with_its_last_worker() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let options = Options::new().flag("--worker", program.display()).flag("--spare-workers", 0);
    let supervisor = Supervisor::start(&options);
    let (mut client, mut gate) = (supervisor.connect(), Fifo::create());
    let running = client.execute(&gated(&gate, "echo done")).unwrap();
    let old = Process::open(supervisor.keepers()[0]).unwrap();
    install_worker(&program);
    assert_eq!(supervisor.connect().run_shell("echo new").stdout(), "new\n");
    assert_eq!(supervisor.keepers().len(), 2);
    gate.release();
    assert_eq!(client.collect_after(running, Vec::new()).end(), ("exit", 0));
    assert!(old.wait_gone(PATIENCE), "it goes with its last worker");
    wait_until("its socket goes too", || sockets(&supervisor).len() == 1);
}

#[test]
fn a_stopped_keeper_goes_on_and_a_stop_leaves_none() {
    let mut supervisor = Supervisor::start_default();
    assert_eq!(supervisor.connect().run_shell("echo well").stdout(), "well\n");
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    keeper.signal(Signal::STOP);
    assert!(supervisor.stop().success());
    assert!(processes::state(keeper.pid).is_none());
    assert!(sockets(&supervisor).is_empty());
}

#[test]
fn a_keeper_takes_no_polite_signal_and_no_words_that_it_does_not_know() {
    use std::{io::Write as _, os::unix::net::UnixStream};
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        keeper.signal(signal);
    }
    for words in [&b"{\"pour\":1}\n"[..], &[b'x'; 100_000]] {
        let mut caller = UnixStream::connect(&sockets(&supervisor)[0]).unwrap();
        // It may hang up before it has read all of it.
        drop(caller.write_all(words));
        let mut answer = String::new();
        drop(BufReader::new(caller).read_line(&mut answer));
        assert_eq!(answer, "");
    }
    // More than it listens to at a time, who say nothing.
    let silent: Vec<UnixStream> =
        (0..60).map(|_| UnixStream::connect(&sockets(&supervisor)[0]).unwrap()).collect();
    let tag = unique_tag("asked");
    let answer = family(&mut client, &tag);
    worker_of(&answer).signal(Signal::KILL);
    death(&mut client, &answer);
    assert_gone(&tag);
    drop(silent);
    assert_eq!(supervisor.keepers(), [keeper.pid]);
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
            .args(["--listen", "127.0.0.1:0", "--cgroup", &cgroup, "--state-dir"])
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
    assert_gone(&tag);
    assert!(supervisor.log().contains("contained by the subreaper alone"));
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
        // When it serves, it has seen to what it took for abandoned; its task shows that it uses the place.
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
