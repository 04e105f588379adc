//! A task's whole process tree, whatever session, group or parent its members moved to.
//!
//! Called by the worker, which is a subreaper: every member descends from it, and it has no other
//! children. Where the task has a cgroup leaf that is used first, because it acts on all members at
//! once; what has left the leaf is found by descent.
//!
//! ```text
//! to end a tree     | what                                         | how long
//! ------------------+----------------------------------------------+---------------------
//! 1. ask_to_end     | SIGTERM and SIGCONT to each; thaw the leaf   | the caller's grace
//! 2. kill           | cgroup.kill; SIGKILL to all that descend,    | KILL_MS_LIMIT
//!                   | again and again until no child is left       |
//! ```

use std::{
    collections::HashSet,
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, SigmaskHow, Signal::SIGCHLD},
};
use rustix::process::{Signal, getpid};

use crate::{
    cgroup::Leaf,
    procfs::{self, Process},
    subreaper::{self, Children, ExitStatus},
};

/// How long killing may take: only processes in uninterruptible sleep need more than milliseconds.
pub const KILL_MS_LIMIT: u64 = 5_000;
/// How long stopping may take before a tree that forks faster than it can be stopped, or has members in
/// uninterruptible sleep, is called stopped.
const STOP_MS_LIMIT: u64 = 1_000;
const PAUSE_BETWEEN_PASSES: Duration = Duration::from_micros(200);
/// Looks at the newest processes between two whole passes over `/proc`, against chains of forks.
const CHASES_BETWEEN_PASSES: usize = 64;
/// Longest wait for a killed child's end before looking again.
const REAP_WAIT_MS: u16 = 5;

/// The processes of one task.
#[derive(Debug)]
pub struct Tree {
    main: i32,
    leaf: Option<Leaf>,
    main_status: Option<ExitStatus>,
    stopped_by_themselves: HashSet<(i32, u64)>,
}

/// What [`Tree::kill`] did.
#[must_use = "a process may have survived"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Killed {
    /// Processes other than the main one that were alive and are dead now.
    pub leftovers: u64,
    /// Processes that were still alive at the limit.
    pub unkillable: u64,
}

impl Tree {
    /// The tree of a main process that this process has just started.
    #[must_use]
    pub fn new(main: i32, leaf: Option<Leaf>) -> Self {
        Self { main, leaf, main_status: None, stopped_by_themselves: HashSet::new() }
    }

    /// The task's cgroup leaf, where it has one.
    #[must_use]
    pub fn leaf_path(&self) -> Option<&Path> {
        self.leaf.as_ref().map(Leaf::path)
    }

    /// How the main process ended, once [`Tree::reap`] has seen it.
    #[must_use]
    pub fn main_status(&self) -> Option<ExitStatus> {
        self.main_status
    }

    /// Reaps whatever has ended. Says whether nothing is left at all.
    ///
    /// # Errors
    /// When the kernel refuses to wait, which it does not.
    pub fn reap(&mut self) -> io::Result<bool> {
        loop {
            match subreaper::next_ended()? {
                Children::Ended(ended) => {
                    if ended.pid == self.main && self.main_status.is_none() {
                        self.main_status = Some(ended.status);
                    }
                }
                Children::Alive => return Ok(false),
                Children::None => return Ok(true),
            }
        }
    }

    /// Stops every member. Members that had stopped themselves are remembered and stay stopped after
    /// [`Tree::resume`].
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn pause(&mut self) -> io::Result<()> {
        if let Some(leaf) = &self.leaf {
            // A leaf that cannot be frozen leaves its members to the passes below.
            let is_frozen = leaf.freeze().unwrap_or(false);
            let members: HashSet<i32> = if is_frozen {
                leaf.members().iter().map(|member| member.pid).collect()
            } else {
                HashSet::new()
            };
            return self.stop_all_but(&members);
        }
        self.stop_all_but(&HashSet::new())
    }

    /// Stops what descends from here until a pass finds nobody who still runs: a stop signal takes effect
    /// some time after it was sent, and a process can have forked before that.
    fn stop_all_but(&mut self, spared: &HashSet<i32>) -> io::Result<()> {
        let mut told: HashSet<(i32, u64)> = HashSet::new();
        let deadline = Instant::now() + Duration::from_millis(STOP_MS_LIMIT);
        loop {
            let mut is_any_running = false;
            for process in self.alive()? {
                let key = (process.pid, process.start_ticks);
                if spared.contains(&process.pid) {
                    continue;
                }
                if process.is_stopped() {
                    if !told.contains(&key) {
                        self.stopped_by_themselves.insert(key);
                    }
                    continue;
                }
                is_any_running = true;
                if told.insert(key) {
                    let _is_there = process.signal(Signal::STOP);
                }
            }
            if !is_any_running || Instant::now() >= deadline {
                return Ok(());
            }
            thread::sleep(PAUSE_BETWEEN_PASSES);
        }
    }

    /// Lets every member go on that [`Tree::pause`] has stopped.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn resume(&mut self) -> io::Result<()> {
        if let Some(leaf) = &self.leaf {
            // A leaf that is gone has nobody in it to be thawed.
            drop(leaf.thaw());
        }
        let spared = std::mem::take(&mut self.stopped_by_themselves);
        for process in self.alive()? {
            // To one that runs it is harmless, and a stop that has not taken effect yet is undone by it.
            if !spared.contains(&(process.pid, process.start_ticks)) {
                let _is_there = process.signal(Signal::CONT);
            }
        }
        Ok(())
    }

    /// Asks every member to end: SIGTERM, then SIGCONT, because a stopped one could not obey.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn ask_to_end(&mut self) -> io::Result<()> {
        let members = self.alive()?;
        without_interruption(|| {
            for process in &members {
                let _is_there = process.signal_in_turn(&[Signal::TERM, Signal::CONT]);
            }
        });
        if let Some(leaf) = &self.leaf {
            drop(leaf.thaw());
        }
        self.stopped_by_themselves.clear();
        Ok(())
    }

    /// Kills every member and reaps until none is left. `child_signals` becomes readable when a child
    /// has ended; it is polled, not read.
    ///
    /// # Errors
    /// When `/proc` cannot be read or children cannot be waited for.
    pub fn kill(&mut self, child_signals: impl std::os::fd::AsFd) -> io::Result<Killed> {
        let mut seen: HashSet<(i32, u64)> = HashSet::new();
        if self.is_gone()? {
            return Ok(self.finish(0, 0));
        }
        self.kill_leaf(&mut seen);
        let deadline = Instant::now() + Duration::from_millis(KILL_MS_LIMIT);
        loop {
            if self.is_gone()? {
                return Ok(self.finish(self.count_leftovers(&seen), 0));
            }
            if Instant::now() >= deadline {
                let unkillable = self.alive()?.len() as u64;
                return Ok(self.finish(self.count_leftovers(&seen), unkillable));
            }
            let is_new = self.kill_pass(&mut seen)?;
            if is_new {
                for _ in 0..CHASES_BETWEEN_PASSES {
                    let newest = procfs::newest_children(own_pid());
                    if newest.is_empty() {
                        break;
                    }
                    kill_each(&newest, &mut seen);
                }
            }
            wait_for_child(&child_signals);
        }
    }

    /// Whether no child is left, and nobody in the leaf: a process that somebody has moved there does not
    /// descend from here.
    fn is_gone(&mut self) -> io::Result<bool> {
        Ok(self.reap()? && !self.leaf.as_ref().is_some_and(Leaf::is_populated))
    }

    fn kill_leaf(&self, seen: &mut HashSet<(i32, u64)>) {
        let Some(leaf) = &self.leaf else { return };
        seen.extend(leaf.members().iter().map(|member| (member.pid, member.start_ticks)));
        // If the write fails the passes by descent do the work.
        drop(leaf.kill());
    }

    /// Kills all that descend from here as one pass sees it; says whether any was new.
    fn kill_pass(&self, seen: &mut HashSet<(i32, u64)>) -> io::Result<bool> {
        let before = seen.len();
        kill_each(&self.alive()?, seen);
        Ok(seen.len() > before)
    }

    fn count_leftovers(&self, seen: &HashSet<(i32, u64)>) -> u64 {
        seen.iter().filter(|(pid, _)| *pid != self.main).count() as u64
    }

    fn finish(&self, leftovers: u64, unkillable: u64) -> Killed {
        if let Some(leaf) = &self.leaf {
            leaf.remove();
        }
        Killed { leftovers, unkillable }
    }

    /// All members that are not zombies, as one pass sees them.
    fn alive(&self) -> io::Result<Vec<Process>> {
        let mut members = procfs::descendants(own_pid())?;
        members.retain(|process| !process.is_dead());
        Ok(members)
    }
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

fn kill_each(processes: &[Process], seen: &mut HashSet<(i32, u64)>) {
    without_interruption(|| {
        for process in processes {
            if process.signal(Signal::KILL) {
                seen.insert((process.pid, process.start_ticks));
            }
        }
    });
}

/// Does something that makes children end; of all their ends there is one SIGCHLD, afterwards. Without this each
/// would interrupt the sending to the others, which costs more than the sending.
fn without_interruption(work: impl FnOnce()) {
    // An error only means the interruptions.
    let before = SigSet::from(SIGCHLD).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    work();
    if let Ok(before) = before {
        let _is_never_refused = before.thread_set_mask();
    }
}

/// Waits a few milliseconds for the next end of a child; an error only shortens the wait.
fn wait_for_child(child_signals: &impl std::os::fd::AsFd) {
    let mut fds = [PollFd::new(child_signals.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::from(REAP_WAIT_MS)).is_ok_and(|ready| ready > 0) {
        // The signal may be an old one that nobody has read: do not spin on it.
        thread::sleep(Duration::from_micros(200));
    }
}
