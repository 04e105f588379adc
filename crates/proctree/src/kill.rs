//! What a supervisor does after a worker has died and its keeper has ended what the worker left: it looks for processes of
//! the task that were not below the keeper.
//!
//! Two ways lead to them, and both are gone: the cgroup leaf, and the marker variable, which every process of a task
//! inherits. Descent from the supervisor is none: a wrapper that becomes the supervisor by execve(2) leaves it its
//! children, and process 1 of a container gets everybody's orphans.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, geteuid, getpid};

use crate::{
    cgroup::Leaf,
    procfs::{self, Process},
};

/// How long a sweep may take.
pub const SWEEP_MS_LIMIT: u64 = 5_000;
const PAUSE_BETWEEN_PASSES: Duration = Duration::from_millis(2);

/// Whose leftovers to end.
#[derive(Clone, Debug)]
pub struct Leftovers<'a> {
    /// Name and value of the variable that all processes of the task inherited.
    pub marker: (&'a str, &'a str),
    /// The task's cgroup leaf, where it had one.
    pub leaf: Option<PathBuf>,
    /// Processes that are known to be the task's, as they were seen below its worker.
    pub known: &'a [Process],
}

/// What a sweep found.
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

/// Kills all leftovers. Blocks for at most [`SWEEP_MS_LIMIT`]. Reaps nobody: these are others' children.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn end_leftovers(leftovers: &Leftovers<'_>) -> io::Result<Swept> {
    let leaf = leftovers.leaf.clone().and_then(Leaf::existing);
    let mut seen: HashSet<(i32, u64)> = HashSet::new();
    if let Some(leaf) = &leaf {
        seen.extend(leaf.members().iter().map(|member| (member.pid, member.start_ticks)));
        // If the write fails, the passes below do the work.
        drop(leaf.kill());
    }
    let deadline = Instant::now() + Duration::from_millis(SWEEP_MS_LIMIT);
    // A process in the middle of an execve(2) shows no environment, and so no marker, and one that forks and exits all
    // the time can be missed by a pass: one look is not enough.
    let mut was_empty = false;
    loop {
        let found = find(leftovers, leaf.as_ref())?;
        for process in &found {
            if process.signal(Signal::KILL) {
                seen.insert((process.pid, process.start_ticks));
            }
        }
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

/// Everyone alive who bears the marker, is in the leaf or is known.
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
    let mut once: HashSet<i32> = HashSet::from([getpid().as_raw_nonzero().get()]);
    found.retain(|process| !process.is_dead() && once.insert(process.pid));
    Ok(found)
}

/// A variable can be copied, and seen from outside of a container: what another user, or another pid namespace, has
/// started is theirs.
fn is_of_this_user_and_namespace(pid: i32) -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|entry| entry.uid() == geteuid().as_raw())
        && namespace(&pid.to_string()) == namespace("self")
}
