//! What a supervisor does after a worker has died: end what the worker left, and reap it.
//!
//! The supervisor is a subreaper too, so a dead worker's tree becomes its children. Three ways lead to
//! the leftovers, and all are gone: the cgroup leaf, descent from the supervisor, and the marker
//! variable (for processes that another subreaper has taken).

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, getpid, waitpid};

use crate::{
    cgroup::Leaf,
    procfs::{self, Process},
};

/// How long a sweep may take.
pub const SWEEP_MS_LIMIT: u64 = 5_000;
const PAUSE_BETWEEN_PASSES: Duration = Duration::from_millis(2);

/// Whose leftovers to end, and whom to spare.
#[derive(Clone, Debug)]
pub struct Leftovers<'a> {
    /// Name and value of the variable that all processes of the task inherited.
    pub marker: (&'a str, &'a str),
    /// The task's cgroup leaf, where it had one.
    pub leaf: Option<PathBuf>,
    /// The workers that live, dead ones that are not reaped yet included. Every other child of this
    /// process is taken for an orphan.
    pub workers: &'a [i32],
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

/// Kills all leftovers and reaps those that became children of this process. Blocks for at most
/// [`SWEEP_MS_LIMIT`]. No worker may be started meanwhile: it would be taken for an orphan.
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
    // A process in the middle of an execve(2) shows no environment, and so no marker: one look is not enough.
    let mut was_empty = false;
    loop {
        let found = find(leftovers, leaf.as_ref())?;
        for process in &found {
            if process.signal(Signal::KILL) {
                seen.insert((process.pid, process.start_ticks));
            }
        }
        // One that forks and exits all the time can be missed by a pass, but leaves a dead generation behind: where
        // something has just died, somebody may live.
        let is_quiet = reap_orphans(leftovers.workers)? == 0;
        let is_leaf_empty = leaf.as_ref().is_none_or(|leaf| !leaf.is_populated());
        let is_empty = found.is_empty() && is_quiet && is_leaf_empty;
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

/// Everyone alive who descends from this process by way of no live worker, bears the marker, or is in the leaf.
fn find(leftovers: &Leftovers<'_>, leaf: Option<&Leaf>) -> io::Result<Vec<Process>> {
    let own = own_pid();
    let all = procfs::all()?;
    let (name, value) = leftovers.marker;
    let of_workers: HashSet<i32> = leftovers
        .workers
        .iter()
        .flat_map(|worker| procfs::below(*worker, &all).into_iter().map(|process| process.pid))
        .chain(leftovers.workers.iter().copied())
        .collect();
    let mut found = procfs::below(own, &all);
    found.retain(|process| !of_workers.contains(&process.pid));
    found.extend(leaf.map(Leaf::members).unwrap_or_default());
    found.extend(all.iter().filter(|process| {
        procfs::variable(process.pid, name).is_some_and(|found| found == value.as_bytes())
    }));
    // Each once, and never this process itself.
    let mut known: HashSet<i32> = HashSet::from([own]);
    found.retain(|process| known.insert(process.pid));
    found.retain(|process| !process.is_dead());
    Ok(found)
}

/// Reaps the dead children of this process that are no workers; a worker's end belongs to whoever
/// started it. Says how many.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn reap_orphans(workers: &[i32]) -> io::Result<u64> {
    let own = own_pid();
    let mut reaped = 0;
    for process in procfs::all()? {
        let is_orphan = process.parent == own && !workers.contains(&process.pid);
        if is_orphan
            && process.is_dead()
            && let Some(pid) = Pid::from_raw(process.pid)
            && matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
        {
            reaped += 1;
        }
    }
    Ok(reaped)
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}
