//! The one thread that owns the database, and the handle by which everybody else uses it.
//!
//! Changes are queued and committed in groups: whatever waits when the thread is free goes into one
//! transaction. Reads see every change that was queued before them. A caller either waits until its change is
//! committed ([`Store::commit`]) or leaves it to the thread ([`Store::write`]). The task log is the truth about a
//! task; what is lost here by a failing disk is found again at the next start.

use std::{io, sync::Arc};

use cc_state::{Change, StateDb, StateError};
use tokio::sync::{mpsc, oneshot};

use crate::{limits, problems::Problems};

/// Why the database did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It failed.
    #[error("the state database: {0}")]
    Database(Arc<StateError>),
    /// Its thread has ended: the supervisor is ending.
    #[error("the state database is closed")]
    Closed,
}

type Done = oneshot::Sender<Result<(), StoreError>>;
type Reading = Box<dyn FnOnce(&StateDb) + Send>;

enum Job {
    Write { changes: Vec<Change>, done: Option<Done> },
    Read(Reading),
}

/// The handle. Clones share the thread, which ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
}

impl Store {
    /// Starts the thread. It ends when the last handle is dropped, with everything committed that was queued.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(db: StateDb, problems: Arc<Problems>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(limits::STORE_QUEUE_JOBS);
        std::thread::Builder::new()
            .name("state.db".to_owned())
            .spawn(move || serve(db, queue, &problems))?;
        Ok(Self { jobs })
    }

    /// Returns when everything is committed that was queued before.
    pub async fn flush(&self) {
        if let Err(error) = self.commit(Vec::new()).await {
            tracing::error!(%error, "the last changes of state");
        }
    }

    /// Queues changes and goes on; waits only where the queue is full.
    pub async fn write(&self, changes: Vec<Change>) {
        if self.jobs.send(Job::Write { changes, done: None }).await.is_err() {
            tracing::error!("a change of state came after the database was closed");
        }
    }

    /// Queues a change without ever waiting. Where the queue is full it is left out: only for what the task log
    /// says as well.
    pub fn note(&self, change: Change) {
        if self.jobs.try_send(Job::Write { changes: vec![change], done: None }).is_err() {
            tracing::warn!("the state database is slow: a change is left out");
        }
    }

    /// Queues changes and waits until they are committed.
    ///
    /// # Errors
    /// When they are not.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        let job = Job::Write { changes, done: Some(done) };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads, after everything that was queued before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&StateDb) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, outcome) = oneshot::channel();
        let reading = move |db: &StateDb| {
            // Whoever has stopped waiting does not care.
            drop(done.send(reading(db)));
        };
        self.jobs.send(Job::Read(Box::new(reading))).await.map_err(|_| StoreError::Closed)?;
        let result = outcome.await.map_err(|_| StoreError::Closed)?;
        result.map_err(|error| StoreError::Database(Arc::new(error)))
    }
}

fn serve(mut db: StateDb, mut queue: mpsc::Receiver<Job>, problems: &Problems) {
    let mut next = queue.blocking_recv();
    while let Some(job) = next {
        let after = match job {
            Job::Read(reading) => {
                reading(&db);
                None
            }
            Job::Write { changes, done } => {
                write_group(&mut db, &mut queue, problems, changes, done)
            }
        };
        next = after.or_else(|| queue.blocking_recv());
    }
}

/// Commits these changes together with those that wait. Returns the job that ended the group.
fn write_group(
    db: &mut StateDb,
    queue: &mut mpsc::Receiver<Job>,
    problems: &Problems,
    mut changes: Vec<Change>,
    done: Option<Done>,
) -> Option<Job> {
    let mut waiting: Vec<Done> = done.into_iter().collect();
    let mut after = None;
    while changes.len() < limits::STORE_GROUP_CHANGES {
        match queue.try_recv() {
            Ok(Job::Write { changes: more, done }) => {
                changes.extend(more);
                waiting.extend(done);
            }
            Ok(reading @ Job::Read(_)) => {
                after = Some(reading);
                break;
            }
            Err(_) => break,
        }
    }
    let outcome = db.transaction(&changes).map_err(|error| {
        tracing::error!(%error, changes = changes.len(), "the state database did not take changes");
        StoreError::Database(Arc::new(error))
    });
    problems.database(outcome.as_ref().err().map(ToString::to_string));
    for done in waiting {
        // Whoever has stopped waiting does not care.
        drop(done.send(outcome.clone()));
    }
    after
}
