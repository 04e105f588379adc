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
//! A supervisor finds leftovers in two ways, by the cgroup leaf and by the marker variable, which every process of a task
//! inherits. It does not use descent: a wrapper that becomes the supervisor by execve(2) leaves it its children, and
//! process 1 of a container becomes the parent of all orphans.

use std::{
    collections::HashSet,
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

/// What a worker's task is found by.
#[derive(Clone, Debug)]
pub struct Leftovers<'a> {
    /// Name and value of the variable that all processes of the task inherited.
    pub marker: (&'a str, &'a str),
    /// The task's cgroup leaf, where it had one.
    pub leaf: Option<PathBuf>,
    /// Processes that were seen below the task's worker.
    pub known: &'a [Process],
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

/// Kills all leftovers. Blocks for at most [`SWEEP_MS_LIMIT`]. Reaps none of them: they are other processes' children.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end_leftovers(leftovers: &Leftovers<'_>) -> io::Result<Swept> {
    let leaf = leftovers.leaf.clone().and_then(Leaf::existing);
    let mut seen = kill_leaf(leaf.as_ref());
    let deadline = Instant::now() + Duration::from_millis(SWEEP_MS_LIMIT);
    // One pass is not enough: a process in the middle of an execve(2) shows no environment, and so no marker, and one that
    // forks and exits all the time can be missed.
    let mut was_empty = false;
    loop {
        let found = find(leftovers, leaf.as_ref())?;
        kill_each(&found, &mut seen);
        let is_leaf_empty = leaf.as_ref().is_none_or(|leaf| !leaf.is_populated());
        let is_empty = found.is_empty() && is_leaf_empty;
        let is_over = Instant::now() >= deadline;
        if (is_empty && was_empty) || is_over {
            if let Some(leaf) = &leaf {
                leaf.remove();
            }
            return Ok(Swept { killed: seen.len() as u64, unkillable: found.len() as u64 });
        }
        was_empty = is_empty;
        thread::sleep(PAUSE_BETWEEN_PASSES);
    }
}

/// All processes that are alive and bear the marker, are in the leaf, or are known.
fn find(leftovers: &Leftovers<'_>, leaf: Option<&Leaf>) -> io::Result<Vec<Process>> {
    let (name, value) = leftovers.marker;
    let mut found = leaf.map(Leaf::members).unwrap_or_default();
    found.extend(procfs::all()?.into_iter().filter(|process| {
        let is_marked =
            || procfs::variable(process.pid, name).is_some_and(|found| found == value.as_bytes());
        leftovers.known.iter().any(|known| known.is_same_as(process))
            || (is_marked() && is_of_this_user_and_namespace(process.pid))
    }));
    // Each once, and never this process itself.
    let mut once: HashSet<i32> = HashSet::from([procfs::own_pid()]);
    found.retain(|process| !process.is_dead() && once.insert(process.pid));
    Ok(found)
}

/// A variable can be copied, and it can be seen from outside of a container: a process of another user or another pid
/// namespace is not the task's.
fn is_of_this_user_and_namespace(pid: i32) -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|entry| entry.uid() == geteuid().as_raw())
        && namespace(&pid.to_string()) == namespace("self")
}
