//! What a dead worker left is found wherever it is, and no process is killed for being a child of the sweeper.

#![expect(clippy::unwrap_used, reason = "tests: a broken assumption ends them where it is noticed")]

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use cc_proctree::{
    cgroup::Leaf,
    kill::{Leftovers, Swept, end_leftovers},
    procfs::Process,
};

const MARKER: &str = "CC_EXECUTOR_TEST_TASK";

/// A marked process that no subreaper of this test has: a child of init, or of what reaps for this test.
struct Orphan {
    process: Process,
    /// Ends when the orphan does, which has the other end.
    alive: BufReader<ChildStdout>,
}

/// Starts a process, marked with `value` unless it is empty, whose parent is dead.
fn orphan(value: &str) -> Orphan {
    let mut command = Command::new("sh");
    command.args(["-c", "setsid sh -c 'echo $$; exec sleep 600' &"]);
    if !value.is_empty() {
        command.env(MARKER, value);
    }
    let mut parent = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut alive = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    alive.read_line(&mut line).unwrap();
    parent.wait().unwrap();
    let process = Process::read(line.trim().parse().unwrap()).unwrap();
    // While it executes its last program it shows no environment.
    let read = |name: &str| std::fs::read(format!("/proc/{}/{name}", process.pid)).unwrap();
    while read("comm") != b"sleep\n" || read("environ").is_empty() {
        std::thread::yield_now();
    }
    assert_ne!(process.parent, std::process::id() as i32);
    Orphan { process, alive }
}

impl Orphan {
    /// Waits until it is dead; a test that waits in vain hangs, which is a failure too.
    fn wait(mut self) {
        let mut rest = Vec::new();
        self.alive.read_to_end(&mut rest).unwrap();
    }
}

impl Drop for Orphan {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _was_there = self.process.signal(rustix::process::Signal::KILL);
    }
}

fn unique_value() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn sweep(value: &str, leaf: Option<PathBuf>) -> Swept {
    sweep_for(&[Leftovers { marker: value.to_owned(), leaf, known: Vec::new() }])[0]
}

fn sweep_for(tasks: &[Leftovers]) -> Vec<Swept> {
    end_leftovers(MARKER, tasks).unwrap()
}

/// A cgroup of this test's own; `None` where there is no writable hierarchy.
fn leaf() -> Option<Leaf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4).map(str::to_owned))?
    })?;
    let memberships = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = memberships.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let path = PathBuf::from(mount).join(own).join(format!("cc-sweep-{}", unique_value()));
    Leaf::create(path).ok()
}

fn join(leaf: &Leaf, process: &Process) {
    use std::io::Write;
    leaf.joining().unwrap().write_all(process.pid.to_string().as_bytes()).unwrap();
}

#[test]
fn a_marked_process_that_does_not_descend_from_the_sweeper_is_ended_and_no_other() {
    let (value, other) = (unique_value(), unique_value());
    let (marked, spared) = (orphan(&value), orphan(&other));
    assert_eq!(sweep(&value, None), Swept { killed: 1, unkillable: 0 });
    marked.wait();
    assert!(!Process::read(spared.process.pid).unwrap().is_dead());
    assert_eq!(sweep(&other, None), Swept { killed: 1, unkillable: 0 });
    spared.wait();
}

#[test]
fn a_stopped_orphan_is_ended_too() {
    let value = unique_value();
    let marked = orphan(&value);
    assert!(marked.process.signal(rustix::process::Signal::STOP));
    assert_eq!(sweep(&value, None), Swept { killed: 1, unkillable: 0 });
    marked.wait();
}

#[test]
fn a_frozen_leaf_is_emptied_and_removed_with_members_that_bear_no_marker() {
    let Some(leaf) = leaf() else {
        eprintln!("SKIPPED: no writable cgroup v2 hierarchy");
        return;
    };
    let value = unique_value();
    let (marked, unmarked) = (orphan(&value), orphan(""));
    join(&leaf, &marked.process);
    join(&leaf, &unmarked.process);
    // The task was paused when its worker was killed.
    assert!(leaf.freeze().unwrap());
    let path = leaf.path().to_owned();
    assert_eq!(sweep(&value, Some(path.clone())), Swept { killed: 2, unkillable: 0 });
    marked.wait();
    unmarked.wait();
    assert!(!path.exists());
}

#[test]
fn a_sweep_that_finds_nothing_says_so() {
    assert_eq!(sweep(&unique_value(), None), Swept::default());
    let gone = PathBuf::from("/sys/fs/cgroup/cc-executor-is-not-here");
    assert_eq!(sweep(&unique_value(), Some(gone)), Swept::default());
}

#[test]
fn a_child_of_the_sweeper_and_its_orphans_are_not_touched() {
    // As after `sleep 600 & exec cc-supervisor`.
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let (value, unmarked) = (unique_value(), orphan(""));
    assert_eq!(sweep(&value, None), Swept::default());
    assert!(child.try_wait().unwrap().is_none());
    assert!(!Process::read(unmarked.process.pid).unwrap().is_dead());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_process_that_is_known_is_ended_without_a_marker_and_no_other_one_of_its_number() {
    let unmarked = orphan("");
    let known = unmarked.process;
    let later = Process { start_ticks: known.start_ticks + 1, ..known };
    let value = unique_value();
    let sweep = |known: &[Process]| {
        sweep_for(&[Leftovers { marker: value.clone(), leaf: None, known: known.to_vec() }])[0]
    };
    assert_eq!(sweep(&[later]), Swept::default());
    assert_eq!(sweep(&[known]), Swept { killed: 1, unkillable: 0 });
    unmarked.wait();
}

#[test]
fn one_sweep_for_several_tasks_says_of_each_what_it_had_left() {
    let values = [unique_value(), unique_value(), unique_value()];
    let (first, second) = (orphan(&values[0]), orphan(&values[1]));
    let spared = orphan(&unique_value());
    let tasks = values.map(|marker| Leftovers { marker, leaf: None, known: Vec::new() });
    let one = Swept { killed: 1, unkillable: 0 };
    assert_eq!(sweep_for(&tasks), [one, one, Swept::default()]);
    assert!(!Process::read(spared.process.pid).unwrap().is_dead());
    first.wait();
    second.wait();
}

#[test]
fn what_descends_from_a_known_process_is_ended_with_it() {
    let value = unique_value();
    let mut known = Command::new("sh")
        .args(["-c", "sleep 600 & echo $!; wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(known.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process = Process::read(known.id() as i32).unwrap();
    let tasks = [Leftovers { marker: value, leaf: None, known: vec![process] }];
    assert_eq!(sweep_for(&tasks), [Swept { killed: 2, unkillable: 0 }]);
    known.wait().unwrap();
    assert!(Process::read(line.trim().parse().unwrap()).is_none_or(|child| child.is_dead()));
}

#[test]
fn a_marked_process_of_another_user_is_not_touched() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: an ordinary user cannot see another one's environment");
        return;
    }
    let value = unique_value();
    let mut others = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"])
        .arg("echo; exec sleep 600")
        .env(MARKER, &value)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0];
    others.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    assert_eq!(sweep(&value, None), Swept::default());
    assert!(others.try_wait().unwrap().is_none());
    others.kill().unwrap();
    others.wait().unwrap();
}
