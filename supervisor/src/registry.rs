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
    tasks: Mutex<Tasks>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Tasks {
    handles: HashMap<String, TaskHandle>,
    is_closed: bool,
}

/// The supervisor is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Registry {
    /// Empty and open.
    #[must_use]
    pub fn new() -> Self {
        Self { tasks: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Adds a task that is about to be started.
    ///
    /// # Errors
    /// When it is closed: the task must not be started.
    pub fn insert(&self, handle: TaskHandle) -> Result<(), Closed> {
        let mut tasks = self.tasks();
        if tasks.is_closed {
            return Err(Closed);
        }
        tasks.handles.insert(handle.task_id().to_owned(), handle);
        self.count.send_replace(tasks.handles.len());
        Ok(())
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
