//! Refuses starts while the worker program is broken: it is missing, cannot be executed, is another program, or fails before
//! it has started a task.
//!
//! Owns the circuit breaker. [`crate::worker::spawner`] and the owners of tasks say how starts went; while the breaker is
//! open, the spawner tries the program by itself, with a worker that gets no task.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{
    ops::{
        health::{Condition, Health},
        uptime,
    },
    worker::breaker::Breaker,
};

/// No task is started: the worker program is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerBroken {
    /// When the program is tried again.
    pub retry_after: Duration,
}

/// Clones are the same guard.
#[derive(Clone, Debug)]
pub(crate) struct StartGuard {
    health: Arc<Health>,
    breaker: Arc<Mutex<Breaker>>,
    /// `Some` while starts are refused: when the program is tried again.
    broken_until: watch::Sender<Option<Instant>>,
    is_closed: Arc<AtomicBool>,
}

impl StartGuard {
    #[must_use]
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            breaker: Arc::default(),
            broken_until: watch::Sender::new(None),
            is_closed: Arc::default(),
        }
    }

    /// # Errors
    /// While the worker program is broken.
    pub(crate) fn check(&self) -> Result<(), WorkerBroken> {
        match *self.broken_until.borrow() {
            None => Ok(()),
            Some(until) => {
                let retry_after = until.saturating_duration_since(uptime::now());
                Err(WorkerBroken { retry_after: retry_after.max(Duration::from_millis(100)) })
            }
        }
    }

    /// Changes when starts are refused, and when they are not any more.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Instant>> {
        self.broken_until.subscribe()
    }

    /// A worker has done what it should: it has started a task, or said why not.
    pub(crate) fn worked(&self) {
        // Held until it is published: else another thread could publish what it has found before.
        let mut breaker = self.breaker();
        if breaker.worked() {
            self.broken_until.send_replace(None);
            self.health.clear(Condition::WorkerBroken);
        }
    }

    /// A start failed, and the task is not to blame. Returns after how long the program is to be tried, if starts are refused
    /// from now on.
    #[must_use]
    pub(super) fn failed(&self, problem: &str) -> Option<Duration> {
        let mut breaker = self.breaker();
        let wait = breaker.failed()?;
        self.refuse_for(wait, problem);
        Some(wait)
    }

    /// The program was tried in vain. Returns after how long it is to be tried again.
    #[must_use]
    pub(super) fn tried_in_vain(&self, problem: &str) -> Duration {
        let mut breaker = self.breaker();
        let wait = breaker.tried_in_vain();
        self.refuse_for(wait, problem);
        wait
    }

    fn refuse_for(&self, wait: Duration, problem: &str) {
        self.broken_until.send_replace(Some(uptime::now() + wait));
        self.health.raise(
            Condition::WorkerBroken,
            format!(
                "no task is started, because workers fail at their start: {problem}; install the worker program of this \
                 version; it is tried again by itself, and batches wait for it"
            ),
        );
    }

    /// The supervisor is stopping: the program is not tried any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
