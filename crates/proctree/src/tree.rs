//! A task's whole process tree, whatever session, group or parent its members moved to.
//!
//! Called by the worker, which is a subreaper: every member descends from it, and it has no other
//! children. Where the task has a cgroup leaf that is used first, because it acts on all members at
//! once; what has left the leaf is found by descent.
//!
//! How a tree is ended is in [`crate::kill`].

use std::{
    collections::HashSet,
    io,
    os::fd::AsFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    cgroup::Leaf,
    kill::{self, Killed},
    procfs::{self, Identity, Process},
    subreaper::{self, Children, ExitStatus},
};

/// How long stopping may take before a tree that forks faster than it can be stopped, or has members in
/// uninterruptible sleep, is called stopped.
const STOP_MS_LIMIT: u64 = 1_000;
const PAUSE_BETWEEN_PASSES: Duration = Duration::from_micros(200);

/// The processes of one task.
#[derive(Debug)]
pub struct Tree {
    main: Main,
    leaf: Option<Leaf>,
    stopped_by_themselves: HashSet<Identity>,
}

#[derive(Debug)]
struct Main {
    pid: i32,
    status: Option<ExitStatus>,
}

impl Main {
    /// Reaps all children that have ended, this one among them. Says whether nothing is left at all.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match subreaper::next_ended()? {
                Children::Ended(ended) => {
                    if ended.pid == self.pid && self.status.is_none() {
                        self.status = Some(ended.status);
                    }
                }
                Children::Alive => return Ok(false),
                Children::None => return Ok(true),
            }
        }
    }
}

impl Tree {
    /// The tree of a main process that this process has just started.
    #[must_use]
    pub fn new(main: i32, leaf: Option<Leaf>) -> Self {
        let main = Main { pid: main, status: None };
        Self { main, leaf, stopped_by_themselves: HashSet::new() }
    }

    /// The task's cgroup leaf, where it has one.
    #[must_use]
    pub fn leaf_path(&self) -> Option<&Path> {
        self.leaf.as_ref().map(Leaf::path)
    }

    /// How the main process ended, once [`Tree::reap`] has seen it.
    #[must_use]
    pub fn main_status(&self) -> Option<ExitStatus> {
        self.main.status
    }

    /// Reaps whatever has ended. Says whether nothing is left at all.
    ///
    /// # Errors
    /// When the kernel refuses to wait, which it does not.
    pub fn reap(&mut self) -> io::Result<bool> {
        self.main.reap()
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

    /// Stops what descends from here until a pass finds no process that runs: a stop signal takes effect some time after it
    /// was sent, and a process can have forked before that.
    fn stop_all_but(&mut self, spared: &HashSet<i32>) -> io::Result<()> {
        let mut signaled: HashSet<Identity> = HashSet::new();
        let deadline = Instant::now() + Duration::from_millis(STOP_MS_LIMIT);
        loop {
            let mut is_any_running = false;
            for process in self.alive()? {
                let key = process.identity();
                if spared.contains(&process.pid) {
                    continue;
                }
                if process.is_stopped() {
                    if !signaled.contains(&key) {
                        self.stopped_by_themselves.insert(key);
                    }
                    continue;
                }
                is_any_running = true;
                if signaled.insert(key) {
                    let _is_there = process.signal(Signal::STOP);
                }
            }
            if !is_any_running || Instant::now() >= deadline {
                return Ok(());
            }
            thread::sleep(PAUSE_BETWEEN_PASSES);
        }
    }

    /// Resumes every member that [`Tree::pause`] has stopped.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn resume(&mut self) -> io::Result<()> {
        if let Some(leaf) = &self.leaf {
            // A leaf that is gone has no member to be thawed.
            drop(leaf.thaw());
        }
        let spared = std::mem::take(&mut self.stopped_by_themselves);
        for process in self.alive()? {
            // To one that runs it is harmless, and a stop that has not taken effect yet is undone by it.
            if !spared.contains(&process.identity()) {
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
        kill::ask_to_end(&self.alive()?, self.leaf.as_ref());
        self.stopped_by_themselves.clear();
        Ok(())
    }

    /// Kills every member and reaps until none is left. `child_signals` becomes readable when a child has ended; it is
    /// polled, not read.
    ///
    /// # Errors
    /// When `/proc` cannot be read or children cannot be waited for.
    pub fn kill(&mut self, child_signals: impl AsFd) -> io::Result<Killed> {
        let Self { main, leaf, .. } = self;
        let main_pid = main.pid;
        kill::kill_descendants(main_pid, leaf.as_ref(), || main.reap(), child_signals)
    }

    /// All members that are not zombies, as one pass sees them.
    fn alive(&self) -> io::Result<Vec<Process>> {
        procfs::living_descendants()
    }
}
