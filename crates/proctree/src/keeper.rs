//! The children of a keeper: workers, and what dead workers have left.
//!
//! A keeper is a subreaper that starts workers and nothing else. So a child of it that is no worker was left by a worker
//! that has died, whatever it has done to its environment, session or group. It is killed at once, with all that descends
//! from it. No other process is touched: descent from any process but a keeper does not say who started it.
//!
//! Used by the keeper's loop, which calls [`Workers::tend`] after every SIGCHLD and at [`Workers::next`].

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    io,
    time::{Duration, Instant},
};

use crate::{
    kill::{self, PAUSE_BETWEEN_PASSES, SWEEP_MS_LIMIT, Swept},
    procfs::{self, Identity, Process},
    subreaper::{self, Children, ExitStatus},
};

/// Passes before a process is called unkillable: time alone says nothing where the machine, or this process, was stopped.
const PASSES_BEFORE_GIVING_UP: u32 = 100;
/// After a look that failed, as for want of a descriptor.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Failed workers that no supervisor has asked about yet; of more, the oldest are forgotten.
const UNASKED_ENDS_LIMIT: usize = 64;

/// How a worker ended and what became of what it left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// `None`: it exited with 0, or is not known here.
    pub status: Option<ExitStatus>,
    pub swept: Swept,
}

/// The children of this process.
#[derive(Debug, Default)]
pub struct Workers {
    alive: BTreeSet<i32>,
    /// Failed ones, the oldest first.
    failed: VecDeque<Failed>,
    sweep: Option<Sweep>,
    /// When to look again after a look that failed.
    again_at: Option<Instant>,
    /// Processes that were killed and have not died within the limit.
    unkillable: HashSet<Identity>,
}

#[derive(Debug)]
struct Failed {
    pid: i32,
    status: ExitStatus,
    /// When what it left had ended.
    settled: Option<(Instant, Swept)>,
}

#[derive(Debug)]
struct Sweep {
    killed: HashSet<Identity>,
    deadline: Instant,
    passes: u32,
    next: Instant,
}

impl Workers {
    /// A worker that this process has just forked.
    pub fn add(&mut self, pid: i32) {
        self.alive.insert(pid);
    }

    /// Whether no worker is left, nor anything of one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alive.is_empty() && self.is_quiet() && self.unkillable.is_empty()
    }

    /// Whether a worker that no supervisor has asked about has failed after this moment.
    #[must_use]
    pub fn has_unasked_since(&self, moment: Instant) -> bool {
        self.failed.iter().any(|failed| failed.settled.is_none_or(|(at, _)| at > moment))
    }

    /// When [`Workers::tend`] is to be called although no child has ended.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        [self.sweep.as_ref().map(|sweep| sweep.next), self.again_at].into_iter().flatten().min()
    }

    /// Whether it is known that nothing is to be ended.
    fn is_quiet(&self) -> bool {
        self.sweep.is_none() && self.again_at.is_none()
    }

    /// Reaps the children that have ended and continues to kill what dead workers have left. Does not wait.
    ///
    /// # Errors
    /// When `/proc` cannot be read; then it is to be tried again.
    pub fn tend(&mut self, now: Instant) -> io::Result<()> {
        let mut is_any_ended = false;
        let has_children = loop {
            match subreaper::next_ended()? {
                Children::Ended(ended) => {
                    is_any_ended = true;
                    if self.alive.remove(&ended.pid) && ended.status != ExitStatus::Code(0) {
                        self.note_failure(ended.pid, ended.status);
                    }
                }
                Children::Alive => break true,
                Children::None => break false,
            }
        };
        // A process becomes a child here only when its parent dies.
        if is_any_ended || self.next().is_some_and(|moment| moment <= now) {
            self.again_at = Some(now + PAUSE_AFTER_FAILURE);
            self.look(now, has_children)?;
            self.again_at = None;
        }
        Ok(())
    }

    fn look(&mut self, now: Instant, has_children: bool) -> io::Result<()> {
        let orphans = if has_children { self.orphans()? } else { Vec::new() };
        self.unkillable.retain(|key| orphans.iter().any(|orphan| orphan.identity() == *key));
        if orphans.iter().any(|orphan| !self.unkillable.contains(&orphan.identity())) {
            self.end(now)?;
        } else {
            self.settle(now, 0);
        }
        Ok(())
    }

    fn note_failure(&mut self, pid: i32, status: ExitStatus) {
        if self.failed.len() == UNASKED_ENDS_LIMIT {
            self.failed.pop_front();
        }
        self.failed.push_back(Failed { pid, status, settled: None });
    }

    /// The children that are no workers, the dead ones included that were not reaped yet.
    fn orphans(&self) -> io::Result<Vec<Process>> {
        let own = procfs::own_pid();
        let is_orphan = |pid: &i32| !self.alive.contains(pid);
        match procfs::children(own) {
            // Most often there is none, and this is done for every task.
            Some(children) => {
                Ok(children.into_iter().filter(is_orphan).filter_map(Process::read).collect())
            }
            None => {
                let mut children = procfs::all()?;
                children.retain(|child| child.parent == own && is_orphan(&child.pid));
                Ok(children)
            }
        }
    }

    /// Kills all that descend from here by way of no living worker, as one pass sees it.
    fn end(&mut self, now: Instant) -> io::Result<()> {
        let all = procfs::all()?;
        let of_workers: HashSet<i32> = self
            .alive
            .iter()
            .flat_map(|worker| procfs::below(*worker, &all).into_iter().map(|process| process.pid))
            .chain(self.alive.iter().copied())
            .collect();
        let mut left = procfs::below(procfs::own_pid(), &all);
        left.retain(|process| {
            !of_workers.contains(&process.pid)
                && !process.is_dead()
                && !self.unkillable.contains(&process.identity())
        });
        let sweep = self.sweep.get_or_insert_with(|| Sweep {
            killed: HashSet::new(),
            deadline: now + Duration::from_millis(SWEEP_MS_LIMIT),
            passes: 0,
            next: now,
        });
        kill::kill_each(&left, &mut sweep.killed);
        sweep.passes += 1;
        sweep.next = now + PAUSE_BETWEEN_PASSES;
        if now >= sweep.deadline && sweep.passes >= PASSES_BEFORE_GIVING_UP {
            self.unkillable.extend(left.iter().map(Process::identity));
            self.settle(now, left.len() as u64);
        }
        Ok(())
    }

    /// What dead workers have left has ended. All of it is counted for the first of them: it is not known whose each was.
    fn settle(&mut self, now: Instant, unkillable: u64) {
        let killed = self.sweep.take().map_or(0, |sweep| sweep.killed.len() as u64);
        let mut swept = Swept { killed, unkillable };
        for failed in self.failed.iter_mut().filter(|failed| failed.settled.is_none()) {
            failed.settled = Some((now, std::mem::take(&mut swept)));
        }
    }

    /// What is known of a worker that has ended. It is forgotten with that. `None` while the worker, or something that a
    /// worker left, is alive.
    pub fn claim(&mut self, pid: i32) -> Option<Remains> {
        if self.alive.contains(&pid) || !self.is_quiet() {
            return None;
        }
        let known = self.failed.iter().rposition(|failed| failed.pid == pid);
        let Some(failed) = known.and_then(|index| self.failed.remove(index)) else {
            return Some(Remains::default());
        };
        let swept = failed.settled.map(|(_, swept)| swept).unwrap_or_default();
        Some(Remains { status: Some(failed.status), swept })
    }
}
