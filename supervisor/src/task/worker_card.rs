//! What an operator is shown of a task's worker beside what the kernel knows: held by the task's handle, filled by its
//! owner.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cc_events::Containment;
use tokio::time::Instant;

use crate::ops::{clock, uptime};

#[derive(Debug)]
pub(crate) struct WorkerCard {
    made: Instant,
    /// The last sign of life, milliseconds after `made`.
    heard_ms: AtomicU64,
    facts: Mutex<WorkerFacts>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerFacts {
    /// `None` until there is a worker.
    pub pid: Option<i32>,
    pub containment: Option<Containment>,
    /// Of the worker program; it comes with a sign of life.
    pub version: Option<String>,
    /// A restart was asked for: the worker ends with its task.
    pub is_retiring: bool,
}

impl Default for WorkerCard {
    fn default() -> Self {
        Self { made: uptime::now(), heard_ms: AtomicU64::new(0), facts: Mutex::default() }
    }
}

impl WorkerCard {
    /// The worker has sent anything.
    pub(super) fn heard(&self, now: Instant) {
        let after = now.saturating_duration_since(self.made);
        self.heard_ms.store(clock::milliseconds(after), Ordering::Relaxed);
    }

    /// Since the worker's last sign of life.
    #[must_use]
    pub(super) fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        uptime::now().saturating_duration_since(self.made).saturating_sub(heard)
    }

    #[must_use]
    pub(super) fn facts(&self) -> WorkerFacts {
        self.lock().clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut WorkerFacts)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, WorkerFacts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
