//! The tasks that are not over: from before the worker's start until the worker is reaped.
//!
//! Once closed it takes no more, so that no start in flight slips past a shutdown. It owns handles, not
//! tasks: a task belongs to its owner in [`crate::task`].

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::task::TaskHandle;

/// The tasks that are not over.
#[derive(Debug)]
pub struct Registry {
    limit: usize,
    tasks: Mutex<Tasks>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Tasks {
    handles: HashMap<String, TaskHandle>,
    is_closed: bool,
}

/// Why no task may be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The supervisor is stopping.
    Closed,
    /// As many tasks run as may.
    Full {
        /// So many.
        limit: usize,
    },
}

impl Registry {
    /// Empty and open, for at most `limit` tasks.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, tasks: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Adds a task that is about to be started.
    ///
    /// # Errors
    /// When it is closed or full: the task must not be started.
    pub fn insert(&self, handle: TaskHandle) -> Result<(), Refusal> {
        let mut tasks = self.tasks();
        if tasks.is_closed {
            return Err(Refusal::Closed);
        }
        if tasks.handles.len() >= self.limit {
            return Err(Refusal::Full { limit: self.limit });
        }
        tasks.handles.insert(handle.task_id().to_owned(), handle);
        self.count.send_replace(tasks.handles.len());
        Ok(())
    }

    /// The task with this id, if it is not over.
    #[must_use]
    pub fn get(&self, task_id: &str) -> Option<TaskHandle> {
        self.tasks().handles.get(task_id).cloned()
    }

    /// Removes a task whose worker is reaped.
    pub fn remove(&self, task_id: &str) {
        let mut tasks = self.tasks();
        tasks.handles.remove(task_id);
        self.count.send_replace(tasks.handles.len());
    }

    /// Takes no more from now on. Returns what is there.
    pub fn close(&self) -> Vec<TaskHandle> {
        let mut tasks = self.tasks();
        tasks.is_closed = true;
        tasks.handles.values().cloned().collect()
    }

    /// Tasks now.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Returns when there are no tasks.
    pub async fn empty(&self) {
        let mut count = self.count.subscribe();
        // The sender is in `self`.
        drop(count.wait_for(|count| *count == 0).await);
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
