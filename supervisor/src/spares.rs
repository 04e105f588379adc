//! Workers that were started before there is a task for them, so that a task need not wait for the start of a
//! process.
//!
//! A spare is a worker like any other that has not been told what to run. It has no task, no directory and no socket;
//! nobody can adopt it, and it exits when its standard input ends, as it does when this supervisor is killed. Each runs
//! one task, as all workers do. Spares are kept by [`crate::spawn`], which starts them when a task has started and
//! never on the way to one; while nothing starts, nothing here happens.
//!
//! One that has died is noticed when one is wanted or counted. One whose program is not that on the disk any more is
//! not used.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::timeout;

use crate::{
    keeper::{Build, Forked},
    limits,
};

/// A worker that waits for its spec.
#[derive(Debug)]
pub struct Spare {
    /// With both its pipes.
    pub forked: Forked,
    /// As the program was before the start.
    pub build: Build,
}

impl Spare {
    fn is_alive(&self) -> bool {
        !self.forked.process.has_ended()
    }

    /// Lets it exit, as it does when its standard input ends, and kills it if it does not: it has begun nothing that could
    /// be harmed.
    pub async fn end(self) {
        let Forked { process, stdin, stdout: _stdout } = self.forked;
        drop(stdin);
        let has_ended = timeout(limits::WORKER_EXIT, process.ended()).await.is_ok();
        if !has_ended && !process.kill().await {
            tracing::warn!("a spare worker was killed and has not ended yet");
        }
    }
}

/// The spares of one supervisor.
#[derive(Debug)]
pub struct Spares {
    limit: usize,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    waiting: VecDeque<Spare>,
    is_filling: bool,
    is_closed: bool,
}

/// What [`Spares::take`] finds.
#[derive(Debug, Default)]
pub struct Taken {
    /// The one that has waited longest.
    pub spare: Option<Spare>,
    /// Dead ones, and those of another build: to be ended.
    pub useless: Vec<Spare>,
}

impl Spares {
    /// None yet, and never more than `limit`.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, pool: Mutex::default() }
    }

    /// Takes one that lives and was started from the program that is there now.
    pub fn take(&self, program: &Path) -> Taken {
        let mut taken = Taken::default();
        let mut pool = self.pool();
        if pool.waiting.is_empty() {
            return taken;
        }
        let build = Build::of(program).ok();
        while let Some(spare) = pool.waiting.pop_front() {
            if Some(spare.build) == build && spare.is_alive() {
                taken.spare = Some(spare);
                return taken;
            }
            taken.useless.push(spare);
        }
        taken
    }

    /// Whether the caller is to start more, until [`Spares::is_full`]: false also while another one does so.
    #[must_use]
    pub fn begin_to_fill(&self) -> bool {
        let mut pool = self.pool();
        let is_wanted = !pool.is_filling && !pool.is_closed && pool.waiting.len() < self.limit;
        pool.is_filling |= is_wanted;
        is_wanted
    }

    /// Whether no more are wanted, which ends the filling.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut pool = self.pool();
        let is_full = pool.is_closed || pool.waiting.len() >= self.limit;
        pool.is_filling &= !is_full;
        is_full
    }

    /// Ends the filling for now: one could not be started.
    pub fn give_up(&self) {
        self.pool().is_filling = false;
    }

    /// Adds one. `Some`: it is not wanted any more.
    #[must_use]
    pub fn add(&self, spare: Spare) -> Option<Spare> {
        let mut pool = self.pool();
        if pool.is_closed {
            return Some(spare);
        }
        pool.waiting.push_back(spare);
        None
    }

    /// Those that live, now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pool().waiting.iter().filter(|spare| spare.is_alive()).count()
    }

    /// There are none from now on. Returns those that there were.
    #[must_use]
    pub fn close(&self) -> VecDeque<Spare> {
        let mut pool = self.pool();
        pool.is_closed = true;
        std::mem::take(&mut pool.waiting)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
