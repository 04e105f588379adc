//! A batch as everything but its owner sees it: its plan, its state, and which of its tasks have changed.
//!
//! Only the batch's owner writes it, after each step that is stored. The lock is never held across an await. Long
//! texts are not here: they are read from the database when they are shown.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cc_batch::life::{Head, Phase, Run, TaskState};
use cc_protocol::batch::BatchSummary;
use tokio::sync::watch;

use crate::batch::{
    attempts::Attempts,
    gates::Gates,
    render,
    run_state::{BatchFacts, RunState},
};

#[derive(Debug)]
pub(super) struct Snapshot {
    facts: BatchFacts,
    inner: Mutex<Inner>,
    /// Counts all changes, also of what the snapshot shows but does not own.
    updates: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    state: RunState,
    /// The version with which each task changed last. No two tasks change with the same version.
    changed: Vec<u64>,
    version: u64,
}

/// A task that a step has changed.
#[derive(Debug)]
pub(super) struct ChangedTask {
    pub(super) index: usize,
    pub(super) state: TaskState,
    /// Without long texts.
    pub(super) attempts: Attempts,
}

impl Snapshot {
    #[must_use]
    pub(super) fn new(facts: BatchFacts, state: RunState) -> Self {
        let changed = vec![0; state.batch.tasks.len()];
        let inner = Mutex::new(Inner { state, changed, version: 0 });
        Self { facts, inner, updates: watch::Sender::new(0) }
    }

    #[must_use]
    pub(super) fn facts(&self) -> &BatchFacts {
        &self.facts
    }

    #[must_use]
    pub(super) fn batch_id(&self) -> &str {
        &self.facts.batch_id
    }

    /// Publishes a step that is stored.
    pub(super) fn publish(
        &self,
        head: &Head,
        started_ms: Option<u64>,
        over_ms: Option<u64>,
        tasks: Vec<ChangedTask>,
    ) {
        {
            let mut inner = self.inner();
            inner.state.batch.head = head.clone();
            inner.state.started_ms = started_ms;
            inner.state.over_ms = over_ms;
            for task in tasks {
                inner.version += 1;
                inner.state.batch.tasks[task.index] = task.state;
                inner.state.attempts[task.index] = task.attempts;
                inner.changed[task.index] = inner.version;
            }
        }
        self.touch();
    }

    /// Something that the snapshot shows but does not own has changed, such as a gate.
    pub(super) fn touch(&self) {
        self.updates.send_modify(|count| *count += 1);
    }

    #[must_use]
    pub(super) fn summary(&self, gates: &Gates) -> BatchSummary {
        render::summary(&self.facts, &self.inner().state, gates)
    }

    /// The tasks that have begun and are not over, and the hook after the batch.
    #[must_use]
    pub(super) fn under_way(&self) -> usize {
        let inner = self.inner();
        let batch = &inner.state.batch;
        let has_begun = |task: &&TaskState| match task {
            TaskState::Before { run } | TaskState::Attempt { run, .. } => *run != Run::Queued,
            TaskState::After { .. } => true,
            TaskState::Waiting
            | TaskState::RetryAt { .. }
            | TaskState::Over { .. }
            | TaskState::Skipped { .. } => false,
        };
        let is_last_hook = matches!(batch.head.phase, Phase::AfterBatch { .. });
        batch.tasks.iter().filter(has_begun).count() + usize::from(is_last_hook)
    }

    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        self.inner().state.batch.is_over()
    }

    #[must_use]
    pub(super) fn version(&self) -> u64 {
        self.inner().version
    }

    #[must_use]
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.updates.subscribe()
    }

    /// The tasks that have changed since this version, with the version of each, in the order of their changes.
    #[must_use]
    pub(super) fn changed_after(&self, version: u64) -> Vec<(u64, usize)> {
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
