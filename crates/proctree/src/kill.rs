//! How processes are killed, and how it is proved that none is left.
//!
//! ```text
//! who, and when             | what                                                 | how long
//! --------------------------+------------------------------------------------------+-------------------
//! worker: its task ends     | ask_to_end: SIGTERM and SIGCONT to each; thaw the    | the caller's grace
//!                           |   leaf                                               |
//! worker: after the grace,  | kill_descendants: cgroup.kill; SIGKILL to all that   | KILL_MS_LIMIT
//!   or the main process     |   descend, again and again until no child is left    |
//!   has ended               |                                                      |
//! keeper: a worker has died | kill_each, called by `keeper`: SIGKILL to its other  | SWEEP_MS_LIMIT
//!                           |   children and all that descend from them            |
//! supervisor: after that    | end_leftovers: cgroup.kill; SIGKILL to each process  | SWEEP_MS_LIMIT
//!                           |   that bears the task's marker                       |
//! ```
//! Signals go through pidfds ([`crate::pidfd`]). A pass over `/proc` is no snapshot, so every killing repeats its passes:
//! a subreaper until it has no child left to wait for, a supervisor until two passes in a row found nothing.
//!
//! A supervisor finds leftovers by the cgroup leaf, by the marker variable, which every process of a task inherits, and
//! by what the worker has recorded of its tree ([`crate::tree_record`]). It does not use descent from itself: a wrapper
//! that becomes the supervisor by execve(2) leaves it its children, and process 1 of a container becomes the parent of
//! all orphans.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, SigmaskHow, Signal::SIGCHLD},
};
use rustix::process::{Signal, geteuid};

use crate::{
    cgroup::Leaf,
    procfs::{self, Identity, Process},
};

/// How long killing may take: only processes in uninterruptible sleep need more than milliseconds.
pub const KILL_MS_LIMIT: u64 = 5_000;
/// How long ending the leftovers of a dead worker may take.
pub const SWEEP_MS_LIMIT: u64 = 5_000;
/// Between two passes for leftovers.
pub(crate) const PAUSE_BETWEEN_PASSES: Duration = Duration::from_millis(2);
/// Looks at the newest processes between two whole passes over `/proc`, against chains of forks.
const CHASES_BETWEEN_PASSES: usize = 64;
/// Longest wait for a killed child's end before looking again.
const REAP_WAIT_MS: u16 = 5;

/// What [`crate::tree::Tree::kill`] did.
#[must_use = "a process may have survived"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Killed {
    /// Processes other than the main one that were alive and are dead now.
    pub leftovers: u64,
    /// Processes that were still alive at the limit.
    pub unkillable: u64,
    /// Processes that the kernel had killed for lack of memory, where the leaf counts them.
    pub out_of_memory: u64,
}

/// Asks each to end: SIGTERM, then SIGCONT, because a stopped one could not obey.
pub(crate) fn ask_to_end(members: &[Process], leaf: Option<&Leaf>) {
    without_interruption(|| {
        for process in members {
            let _is_there = process.signal_in_turn(&[Signal::TERM, Signal::CONT]);
        }
    });
    if let Some(leaf) = leaf {
        // A leaf that is gone has no member to be thawed.
        drop(leaf.thaw());
    }
}

/// Kills all that descend from this process, and what is in the leaf, until `reap` says that no child is left. The leaf is
/// removed. `main` is not counted as a leftover.
pub(crate) fn kill_descendants(
    main: i32,
    leaf: Option<&Leaf>,
    mut reap: impl FnMut() -> io::Result<bool>,
    child_signals: impl AsFd,
) -> io::Result<Killed> {
    // A process that was moved into the leaf need not descend from here.
    let mut is_gone = || Ok::<bool, io::Error>(reap()? && !leaf.is_some_and(Leaf::is_populated));
    let mut seen: HashSet<Identity> = HashSet::new();
    let mut unkillable = 0;
    if !is_gone()? {
        seen = kill_leaf(leaf);
        let deadline = Instant::now() + Duration::from_millis(KILL_MS_LIMIT);
        while !is_gone()? {
            if Instant::now() >= deadline {
                unkillable = procfs::living_descendants()?.len() as u64;
                break;
            }
            kill_pass(&mut seen)?;
            wait_for_child(&child_signals);
        }
    }
    let out_of_memory = leaf.and_then(Leaf::out_of_memory_kills).unwrap_or(0);
    if let Some(leaf) = leaf {
        leaf.remove();
    }
    let leftovers = seen.iter().filter(|(pid, _)| *pid != main).count() as u64;
    Ok(Killed { leftovers, unkillable, out_of_memory })
}

/// Kills the members of the leaf, and says who they were. Where the write fails the passes do the work.
fn kill_leaf(leaf: Option<&Leaf>) -> HashSet<Identity> {
    let Some(leaf) = leaf else { return HashSet::new() };
    let members = leaf.members().iter().map(Process::identity).collect();
    drop(leaf.kill());
    members
}

/// Kills all that descend from here as one pass sees it, and then those that were born meanwhile.
fn kill_pass(seen: &mut HashSet<Identity>) -> io::Result<()> {
    let before = seen.len();
    let found = procfs::living_descendants()?;
    without_interruption(|| kill_each(&found, seen));
    if seen.len() == before {
        return Ok(());
    }
    for _ in 0..CHASES_BETWEEN_PASSES {
        let newest = procfs::newest_children(procfs::own_pid());
        if newest.is_empty() {
            break;
        }
        without_interruption(|| kill_each(&newest, seen));
    }
    Ok(())
}

/// Kills each of these, and adds those that were there to get the signal to `killed`.
pub(crate) fn kill_each(processes: &[Process], killed: &mut HashSet<Identity>) {
    for process in processes {
        if process.signal(Signal::KILL) {
            killed.insert(process.identity());
        }
    }
}

/// Does `work`, which makes children end, with SIGCHLD blocked: one SIGCHLD for all of them comes afterwards. Otherwise each
/// would interrupt the sending to the others, which costs more than the sending.
fn without_interruption(work: impl FnOnce()) {
    // An error only means that there are interruptions.
    let before = SigSet::from(SIGCHLD).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    work();
    if let Ok(before) = before {
        let _is_never_refused = before.thread_set_mask();
    }
}

/// Waits a few milliseconds for the next end of a child; an error only shortens the wait.
fn wait_for_child(child_signals: &impl AsFd) {
    let mut fds = [PollFd::new(child_signals.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::from(REAP_WAIT_MS)).is_ok_and(|ready| ready > 0) {
        // The signal may be an old one that was not read yet: do not spin on it.
        thread::sleep(Duration::from_micros(200));
    }
}

/// What the processes of a dead worker's task are found by.
#[derive(Clone, Debug)]
pub struct Leftovers {
    /// Value of the marker variable, which all processes of the task inherited.
    pub marker: String,
    /// The task's cgroup leaf, where it had one.
    pub leaf: Option<PathBuf>,
    /// Processes that were seen below the task's worker. What descends from them is the task's too.
    pub known: Vec<Process>,
}

/// The result of [`end_leftovers`], and of a keeper's killing.
#[must_use = "a process may have survived"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were alive and are dead now.
    pub killed: u64,
    /// Processes that were still alive at the limit.
    pub unkillable: u64,
}

impl std::ops::Add for Swept {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { killed: self.killed + other.killed, unkillable: self.unkillable + other.unkillable }
    }
}

/// Kills the leftovers of several tasks, and looks at each process once for all of them. Blocks for at most
/// [`SWEEP_MS_LIMIT`]. Reaps none of them: they are other processes' children. The results are in the order of `tasks`.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end_leftovers(marker_name: &str, tasks: &[Leftovers]) -> io::Result<Vec<Swept>> {
    let mut sweeps: Vec<Sweep<'_>> = tasks.iter().map(Sweep::begin).collect();
    let deadline = Instant::now() + Duration::from_millis(SWEEP_MS_LIMIT);
    loop {
        pass(marker_name, &mut sweeps)?;
        let is_over = Instant::now() >= deadline;
        if is_over || sweeps.iter().all(|sweep| sweep.is_done) {
            return Ok(sweeps.into_iter().map(Sweep::end).collect());
        }
        thread::sleep(PAUSE_BETWEEN_PASSES);
    }
}

/// The sweep for one task.
struct Sweep<'a> {
    leftovers: &'a Leftovers,
    leaf: Option<Leaf>,
    killed: HashSet<Identity>,
    /// What the last pass found.
    found: Vec<Process>,
    was_empty: bool,
    is_done: bool,
}

impl<'a> Sweep<'a> {
    fn begin(leftovers: &'a Leftovers) -> Self {
        let leaf = leftovers.leaf.clone().and_then(Leaf::existing);
        let killed = kill_leaf(leaf.as_ref());
        Self { leftovers, leaf, killed, found: Vec::new(), was_empty: false, is_done: false }
    }

    /// Kills what was found. One empty pass is not enough: a process in the middle of an execve(2) shows no environment,
    /// and so no marker, and one that forks and exits all the time can be missed.
    fn kill(&mut self) {
        // Each once, and never this process itself.
        let mut once: HashSet<i32> = HashSet::from([procfs::own_pid()]);
        self.found.retain(|process| !process.is_dead() && once.insert(process.pid));
        kill_each(&self.found, &mut self.killed);
        let is_leaf_empty = self.leaf.as_ref().is_none_or(|leaf| !leaf.is_populated());
        let is_empty = self.found.is_empty() && is_leaf_empty;
        self.is_done = is_empty && self.was_empty;
        self.was_empty = is_empty;
    }

    fn end(self) -> Swept {
        if let Some(leaf) = &self.leaf {
            leaf.remove();
        }
        Swept { killed: self.killed.len() as u64, unkillable: self.found.len() as u64 }
    }
}

/// Kills all processes that are alive and bear a task's marker, are in its leaf, or are known, as one pass sees them.
fn pass(marker_name: &str, sweeps: &mut [Sweep<'_>]) -> io::Result<()> {
    let all = procfs::all()?;
    let mut of_marker: HashMap<&[u8], usize> = HashMap::new();
    for (index, sweep) in sweeps.iter_mut().enumerate().filter(|(_, sweep)| !sweep.is_done) {
        sweep.found = sweep.leaf.as_ref().map(Leaf::members).unwrap_or_default();
        if !sweep.leftovers.known.is_empty() {
            let known: HashSet<Identity> =
                sweep.leftovers.known.iter().map(Process::identity).collect();
            let is_known = |process: &&Process| known.contains(&process.identity());
            let alive: Vec<Process> = all.iter().filter(is_known).copied().collect();
            let pids = alive.iter().map(|process| process.pid).collect();
            sweep.found.extend(alive);
            sweep.found.extend(procfs::below_any(pids, &all));
        }
        of_marker.insert(sweep.leftovers.marker.as_bytes(), index);
    }
    for process in all.iter().filter(|process| !process.is_dead()) {
        let Some(value) = procfs::variable(process.pid, marker_name) else { continue };
        if let Some(sweep) = of_marker.get(&value[..]).and_then(|index| sweeps.get_mut(*index))
            && is_of_this_user_and_namespace(process.pid)
        {
            sweep.found.push(*process);
        }
    }
    sweeps.iter_mut().filter(|sweep| !sweep.is_done).for_each(Sweep::kill);
    Ok(())
}

/// A variable can be copied, and it can be seen from outside of a container: a process of another user or another pid
/// namespace is not the task's.
fn is_of_this_user_and_namespace(pid: i32) -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|entry| entry.uid() == geteuid().as_raw())
        && namespace(&pid.to_string()) == namespace("self")
}
