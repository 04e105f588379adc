//! The tasks that are not over: from before the worker's start, or its adoption, until the worker is gone.
//!
//! A closed registry refuses tasks, so that no start in flight slips past a shutdown. It owns handles: a task belongs to
//! its [`crate::task::owner`].

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cc_protocol::{CallError, Denied};
use tokio::sync::watch;

use crate::{
    ops::{clock, health::Condition},
    task::handle::TaskHandle,
};

#[derive(Debug)]
pub(crate) struct Registry {
    tasks: Mutex<Tasks>,
    /// Counts the tasks that have left.
    left: watch::Sender<u64>,
}

#[derive(Debug)]
struct Tasks {
    limit: usize,
    handles: HashMap<String, TaskHandle>,
    /// Why no task may be started any more.
    closed: Option<Refusal>,
    is_draining: bool,
}

/// Why no task may be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The supervisor is stopping.
    Closed,
    /// An operator lets the supervisor run empty.
    Draining,
    /// The state directory is gone.
    StateLost,
    /// As many tasks run as may.
    Full { limit: usize },
    /// As many tasks of one token run as may.
    TokenFull { limit: usize },
    /// The worker program is broken.
    WorkerBroken { retry_after: Duration },
    /// A task could not be put on record.
    Unrecordable(Condition),
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::DrainingTasks { task_id: None },
            Refusal::Draining => Self::Drained { what: "tasks" },
            Refusal::StateLost => Self::StateLost,
            Refusal::Full { limit } => Self::TasksFull { limit },
            Refusal::TokenFull { limit } => Self::Denied(Denied::TasksFull { limit }),
            Refusal::WorkerBroken { retry_after } => {
                Self::WorkerBroken { retry_after_ms: clock::milliseconds(retry_after) }
            }
            Refusal::Unrecordable(condition) => {
                Self::NotReady { condition: condition.name(), problem: condition.meaning() }
            }
        }
    }
}

impl Registry {
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        let tasks = Tasks { limit, handles: HashMap::new(), closed: None, is_draining: false };
        Self { tasks: Mutex::new(tasks), left: watch::Sender::new(0) }
    }

    /// Changes how many tasks may run; those that run go on, also where they are more.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.tasks().limit = limit;
        self.left.send_modify(|count| *count += 1);
    }

    /// Refuses tasks, or no longer. Those of a batch are not refused: it waits by itself, and its hooks follow its tasks.
    pub(crate) fn set_draining(&self, is_draining: bool) {
        self.tasks().is_draining = is_draining;
    }

    /// Adds a task that is about to be started. `token_limit` is that of the tasks with the same token.
    ///
    /// # Errors
    /// When the registry is closed, draining or full, or a task is `unrecordable`: the task must not be started.
    pub(crate) fn insert(
        &self,
        handle: TaskHandle,
        token_limit: Option<usize>,
        unrecordable: Option<Condition>,
    ) -> Result<(), Refusal> {
        let mut tasks = self.tasks();
        if let Some(refusal) = tasks.closed {
            return Err(refusal);
        }
        if tasks.is_draining && handle.info().batch_id.is_none() {
            return Err(Refusal::Draining);
        }
        if let Some(condition) = unrecordable {
            return Err(Refusal::Unrecordable(condition));
        }
        if tasks.handles.len() >= tasks.limit {
            return Err(Refusal::Full { limit: tasks.limit });
        }
        if let Some(limit) = token_limit {
            let token = &handle.info().token;
            let others = tasks.handles.values().filter(|other| other.info().token == *token);
            if others.count() >= limit {
                return Err(Refusal::TokenFull { limit });
            }
        }
        tasks.handles.insert(handle.task_id().to_owned(), handle);
        Ok(())
    }

    /// Adds a task that an earlier supervisor started. It runs already, so the limit does not apply.
    ///
    /// # Errors
    /// When the registry is closed.
    pub(crate) fn insert_recovered(&self, handle: TaskHandle) -> Result<(), Refusal> {
        let mut tasks = self.tasks();
        if let Some(refusal) = tasks.closed {
            return Err(refusal);
        }
        tasks.handles.insert(handle.task_id().to_owned(), handle);
        Ok(())
    }

    /// The task with this id, if it is not over.
    #[must_use]
    pub(crate) fn get(&self, task_id: &str) -> Option<TaskHandle> {
        self.tasks().handles.get(task_id).cloned()
    }

    #[must_use]
    pub(crate) fn task_ids(&self) -> Vec<String> {
        self.tasks().handles.keys().cloned().collect()
    }

    #[must_use]
    pub(crate) fn handles(&self) -> Vec<TaskHandle> {
        self.tasks().handles.values().cloned().collect()
    }

    /// Removes a task whose worker is reaped.
    pub(crate) fn remove(&self, task_id: &str) {
        self.tasks().handles.remove(task_id);
        self.left.send_modify(|count| *count += 1);
    }

    /// Changes whenever there may be room again.
    #[must_use]
    pub(crate) fn room(&self) -> watch::Receiver<u64> {
        self.left.subscribe()
    }

    /// Refuses all further tasks. Returns those that are there.
    pub(crate) fn close(&self) -> Vec<TaskHandle> {
        let mut tasks = self.tasks();
        tasks.closed = Some(Refusal::Closed);
        tasks.handles.values().cloned().collect()
    }

    /// Refuses all further tasks because the state directory is gone.
    pub(crate) fn state_is_lost(&self) {
        self.tasks().closed.get_or_insert(Refusal::StateLost);
    }

    /// Returns when no task is left.
    pub(crate) async fn emptied(&self) {
        let mut left = self.left.subscribe();
        while self.count() > 0 {
            // An error means that this registry is gone.
            if left.changed().await.is_err() {
                return;
            }
        }
    }

    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.tasks().handles.len()
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
