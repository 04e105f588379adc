//! The thread that owns the database, and the handle by which the other rooms use it.
//!
//! Changes are queued and committed in groups: all that are queued when the thread is free become one transaction. A
//! read sees every change that was queued before it. A caller either waits until its change is committed
//! (`Store::commit`, and `Store::put_on_record` for a new task) or only queues it (`Store::write`). The task log is
//! the truth about a task: what a failing disk loses here is recovered from the log at the next start.
//!
//! A transaction, and waking a thread for it, costs more than its changes. So a change that the task log has as well
//! (`Store::note`) does not wake a thread that has just written: it is committed with the next changes, after
//! `limits::STORE_LINGER` at the latest. A short task costs one transaction: its acceptance is committed together
//! with the start and the end of the task before it.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Instant,
};

use cc_protocol::CallError;
use cc_state::{Change, StateDb, StateError};
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::limits,
    ops::health::{Condition, Health},
    storage::{directory::Directory, watch::unwritable},
};

/// Why a change was not committed, or a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A task's directory cannot be created: a full disk, a missing permission.
    #[error("{path}: {error}")]
    Directory { path: PathBuf, error: Arc<io::Error> },
    /// The directory of all tasks is gone, and so is the state directory.
    #[error("{} was removed while this supervisor ran: start it again", .0.display())]
    Removed(PathBuf),
    #[error("{0}")]
    Database(Arc<StateError>),
    /// The database is closed: the supervisor is ending.
    #[error("the state database is closed")]
    Closed,
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Directory { .. }
            | StoreError::Removed(_)
            | StoreError::Database(_)
            | StoreError::Closed => Self::Internal { problem: error.to_string() },
        }
    }
}

type Done = oneshot::Sender<Result<(), StoreError>>;
type Reading = Box<dyn FnOnce(&StateDb) + Send>;

enum Job {
    Write(Write),
    Read(Reading),
    TryAgain,
    Close(Done),
}

/// Changes that are committed or refused together.
struct Write {
    /// A new task, whose directory is created first: a task with a row but no directory would not be recovered.
    task_id: Option<String>,
    changes: Vec<Change>,
    /// Gets the outcome.
    done: Option<Done>,
}

impl Write {
    fn of(changes: Vec<Change>) -> Self {
        Self { task_id: None, changes, done: None }
    }
}

/// The handle. Clones share the thread, which ends when the last one is gone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
    thread: Thread,
    /// An attempt waits in the queue or is made.
    is_trying: Arc<AtomicBool>,
}

impl Store {
    /// Starts the thread. It ends when the last handle is dropped, after it has committed everything that was queued.
    /// `tasks` is where tasks have their directories.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(db: StateDb, tasks: Directory, health: Arc<Health>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(limits::STORE_QUEUE_JOBS);
        let is_trying = Arc::<AtomicBool>::default();
        let (trying, overdue) = (Arc::clone(&is_trying), Vec::new());
        let server = Server { db, tasks, queue, health, trying, overdue };
        let thread =
            thread::Builder::new().name("state.db".to_owned()).spawn(move || server.serve())?;
        Ok(Self { jobs, thread: thread.thread().clone(), is_trying })
    }

    /// Returns when everything that was queued before is committed.
    pub(crate) async fn flush(&self) {
        if let Err(error) = self.commit(Vec::new()).await {
            tracing::error!(%error, "the last changes of state");
        }
    }

    /// Commits everything that was queued before and closes the database, which leaves it in a single file. Every later
    /// change or read fails.
    pub(crate) async fn close(&self) {
        self.flush().await;
        let (done, closed) = oneshot::channel();
        if self.queue(Job::Close(done)).await.is_ok() {
            drop(closed.await);
        }
    }

    /// Queues changes without waiting for their commit. Waits only where the queue is full.
    pub(crate) async fn write(&self, changes: Vec<Change>) {
        if self.queue(Job::Write(Write::of(changes))).await.is_err() {
            tracing::error!("a change of state came after the database was closed");
        }
    }

    /// Queues a change without waiting. Where the queue is full the change is dropped: only for what the task log has as
    /// well. Returns whether it is queued.
    pub(crate) fn note(&self, change: Change) -> bool {
        let is_queued = self.jobs.try_send(Job::Write(Write::of(vec![change]))).is_ok();
        if !is_queued {
            tracing::warn!("the state database is slow: a change is left out");
        }
        is_queued
    }

    /// Tries whether a database that failed can be written again, and commits what could not be committed. Does not wait.
    pub(crate) fn try_again(&self) {
        // One at a time: an attempt may wait for a lock of another program. A full queue is itself an attempt.
        if self.is_trying.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.jobs.try_send(Job::TryAgain) {
            Ok(()) => self.thread.unpark(),
            Err(_) => self.is_trying.store(false, Ordering::Relaxed),
        }
    }

    /// Queues changes and waits until they are committed.
    ///
    /// # Errors
    /// When they cannot be committed.
    pub(crate) async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.wait_for(Write::of(changes)).await
    }

    /// Creates the directory of a new task, then commits the changes that put it on record; waits for both.
    ///
    /// # Errors
    /// When either fails. Without a directory nothing is committed.
    pub(crate) async fn put_on_record(
        &self,
        task_id: &str,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let task_id = Some(task_id.to_owned());
        self.wait_for(Write { task_id, ..Write::of(changes) }).await
    }

    /// Reads, after the changes that were queued before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&StateDb) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, outcome) = oneshot::channel();
        let reading = move |db: &StateDb| {
            // The caller may have stopped waiting.
            drop(done.send(reading(db)));
        };
        self.queue(Job::Read(Box::new(reading))).await?;
        let result = outcome.await.map_err(|_| StoreError::Closed)?;
        result.map_err(|error| StoreError::Database(Arc::new(error)))
    }

    async fn wait_for(&self, write: Write) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.queue(Job::Write(Write { done: Some(done), ..write })).await?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues a job and wakes the thread.
    async fn queue(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        self.thread.unpark();
        Ok(())
    }
}

#[cfg(test)]
impl Store {
    /// A database and the directories of tasks in one directory.
    pub(crate) fn for_tests(directory: &std::path::Path, health: Arc<Health>) -> Self {
        let (db, _) = StateDb::open(&directory.join("state.db")).unwrap();
        Self::start(db, Directory::named(directory).unwrap(), health).unwrap()
    }
}

/// The thread's side.
struct Server {
    db: StateDb,
    tasks: Directory,
    queue: mpsc::Receiver<Job>,
    health: Arc<Health>,
    trying: Arc<AtomicBool>,
    /// Changes without a waiting caller that could not be committed: the first of the next transaction.
    overdue: Vec<Change>,
}

impl Server {
    fn serve(mut self) {
        let mut next = self.queue.blocking_recv();
        while let Some(job) = next {
            let after = match job {
                Job::Read(reading) => {
                    reading(&self.db);
                    None
                }
                Job::Write(write) => self.write_group(write),
                Job::TryAgain => {
                    self.try_again();
                    None
                }
                Job::Close(done) => {
                    drop(self.db);
                    // The caller may have stopped waiting.
                    drop(done.send(Ok(())));
                    return;
                }
            };
            next = after.or_else(|| self.next());
        }
    }

    /// The next job; `None` when all handles are dropped. For a while after the last job a note does not wake this thread.
    fn next(&mut self) -> Option<Job> {
        let until = Instant::now() + limits::STORE_LINGER;
        while self.queue.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.queue.try_recv().ok().or_else(|| self.queue.blocking_recv())
    }

    /// Commits these changes together with those that are queued. Returns the job that ended the group.
    fn write_group(&mut self, first: Write) -> Option<Job> {
        let mut group = Vec::new();
        let mut count = 0;
        let mut next = Some(Job::Write(first));
        while let Some(Job::Write(write)) = next {
            count += write.changes.len();
            group.extend(self.with_directory(write));
            let has_room = count < limits::STORE_GROUP_CHANGES;
            next = has_room.then(|| self.queue.try_recv().ok()).flatten();
        }
        self.write(group);
        next
    }

    fn write(&mut self, mut group: Vec<Write>) {
        let overdue = std::mem::take(&mut self.overdue);
        if !overdue.is_empty() {
            group.insert(0, Write::of(overdue));
        }
        if group.is_empty() {
            return;
        }
        let together = self.transaction(group.iter().flat_map(|write| &write.changes));
        let is_alone = group.len() == 1;
        let mut problem = None;
        for Write { changes, done, .. } in group {
            // A change that cannot be committed must not fail the others.
            let outcome = if together.is_ok() || is_alone {
                together.clone()
            } else {
                self.transaction(&changes)
            };
            let is_of_the_change = match &outcome {
                Ok(()) => false,
                Err(StoreError::Database(error)) if error.is_of_the_change() => {
                    // What is wrong with the database itself is told by the condition.
                    tracing::error!(%error, "the state database did not take a change");
                    true
                }
                Err(error) => {
                    problem = Some(error.to_string());
                    false
                }
            };
            match done {
                // The caller may have stopped waiting.
                Some(done) => drop(done.send(outcome)),
                // Again it would fail for ever.
                None if outcome.is_err() && !is_of_the_change => self.keep(changes),
                None => {}
            }
        }
        self.health.note_database(problem);
    }

    fn try_again(&mut self) {
        let problem = self.db.try_write().err().map(|error| error.to_string());
        let works = problem.is_none();
        self.trying.store(false, Ordering::Relaxed);
        self.health.note_database(problem);
        if works {
            self.write(Vec::new());
        }
    }

    fn transaction<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        self.db.transaction(changes).map_err(|error| StoreError::Database(Arc::new(error)))
    }

    /// Creates the directory that this needs. `None`: it cannot be created, and the caller has the error.
    fn with_directory(&self, write: Write) -> Option<Write> {
        let Some(task_id) = &write.task_id else { return Some(write) };
        let Err(error) = self.tasks.make(task_id) else {
            self.health.clear(Condition::StateDirectory);
            return Some(write);
        };
        if error.kind() != io::ErrorKind::AlreadyExists {
            let text = unwritable(self.tasks.path(), &error);
            self.health.raise(Condition::StateDirectory, text);
        }
        let error = if error.kind() == io::ErrorKind::NotFound {
            StoreError::Removed(self.tasks.path().to_owned())
        } else {
            let path = self.tasks.path().join(task_id);
            StoreError::Directory { path, error: Arc::new(error) }
        };
        if let Some(done) = write.done {
            // The caller may have stopped waiting.
            drop(done.send(Err(error)));
        }
        None
    }

    fn keep(&mut self, changes: Vec<Change>) {
        self.overdue.extend(changes);
        let excess = self.overdue.len().saturating_sub(limits::STORE_OVERDUE_CHANGES);
        self.overdue.drain(..excess);
    }
}

#[cfg(test)]
mod tests;
