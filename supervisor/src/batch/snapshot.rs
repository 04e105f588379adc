//! A batch as everybody but its owner sees it: its plan, its state, and which of its tasks have changed.
//!
//! Written by the batch's owner alone, after each step that is stored; nobody holds the lock while waiting. Long
//! texts are not here: they are read from the database when they are shown.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cc_batch::life::{Head, TaskState};
use cc_protocol::batch::BatchSummary;
use tokio::sync::watch;

use crate::batch::{
    attempts::Record,
    gates::Gates,
    render,
    run_state::{BatchFacts, RunState},
};

/// See the module.
#[derive(Debug)]
pub struct Snapshot {
    facts: BatchFacts,
    inner: Mutex<Inner>,
    /// Counts whatever has changed.
    updates: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    standing: RunState,
    /// With which version each task changed last. No two change with the same one.
    changed: Vec<u64>,
    /// The last version.
    version: u64,
}

/// A task that a step has changed.
#[derive(Debug)]
pub struct Changed {
    /// From 0.
    pub index: usize,
    /// Where it stands.
    pub state: TaskState,
    /// Its record without long texts.
    pub record: Record,
}

impl Snapshot {
    /// Of a batch that stands so.
    #[must_use]
    pub fn new(facts: BatchFacts, standing: RunState) -> Self {
        let changed = vec![0; standing.batch.tasks.len()];
        let inner = Mutex::new(Inner { standing, changed, version: 0 });
        Self { facts, inner, updates: watch::Sender::new(0) }
    }

    /// What never changes.
    #[must_use]
    pub fn facts(&self) -> &BatchFacts {
        &self.facts
    }

    /// Its id.
    #[must_use]
    pub fn batch_id(&self) -> &str {
        &self.facts.batch_id
    }

    /// Takes a step over.
    pub fn publish(
        &self,
        head: &Head,
        started_ms: Option<u64>,
        over_ms: Option<u64>,
        tasks: Vec<Changed>,
    ) {
        {
            let mut inner = self.inner();
            inner.standing.batch.head = head.clone();
            inner.standing.started_ms = started_ms;
            inner.standing.over_ms = over_ms;
            for task in tasks {
                inner.version += 1;
                inner.standing.batch.tasks[task.index] = task.state;
                inner.standing.records[task.index] = task.record;
                inner.changed[task.index] = inner.version;
            }
        }
        self.touch();
    }

    /// Something that it shows, but does not own, has changed.
    pub fn touch(&self) {
        self.updates.send_modify(|count| *count += 1);
    }

    /// As clients see it.
    #[must_use]
    pub fn summary(&self, gates: &Gates) -> BatchSummary {
        render::summary(&self.facts, &self.inner().standing, gates)
    }

    /// Whether nothing will happen any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.inner().standing.batch.is_over()
    }

    /// The version of the last change of a task.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner().version
    }

    /// Told of every change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.updates.subscribe()
    }

    /// The tasks that have changed since this version, those first that changed first, with the version of each.
    #[must_use]
    pub fn changed_after(&self, version: u64) -> Vec<(u64, usize)> {
        let inner = self.inner();
        let changed = inner.changed.iter().enumerate().filter(|(_, changed)| **changed > version);
        let mut changed: Vec<(u64, usize)> = changed.map(|(index, at)| (*at, index)).collect();
        changed.sort_unstable();
        changed
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
