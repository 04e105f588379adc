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
    Close(Done),
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
            .spawn(move || Server { db, queue, problems, overdue: Vec::new() }.serve())?;
        Ok(Self { jobs })
    }

    /// Returns when everything is committed that was queued before.
    pub async fn flush(&self) {
        if let Err(error) = self.commit(Vec::new()).await {
            tracing::error!(%error, "the last changes of state");
        }
    }

    /// Commits everything that was queued before and closes the database, which leaves it in a single file. Nothing
    /// can be changed or read any more.
    pub async fn close(&self) {
        self.flush().await;
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            drop(closed.await);
        }
    }

    /// Queues changes and goes on; waits only where the queue is full.
    pub async fn write(&self, changes: Vec<Change>) {
        if self.jobs.send(Job::Write { changes, done: None }).await.is_err() {
            tracing::error!("a change of state came after the database was closed");
        }
    }

    /// Queues a change without ever waiting. Where the queue is full it is left out: only for what the task log
    /// says as well. Says whether it is queued.
    pub fn note(&self, change: Change) -> bool {
        let is_queued =
            self.jobs.try_send(Job::Write { changes: vec![change], done: None }).is_ok();
        if !is_queued {
            tracing::warn!("the state database is slow: a change is left out");
        }
        is_queued
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

/// What the thread works with.
struct Server {
    db: StateDb,
    queue: mpsc::Receiver<Job>,
    problems: Arc<Problems>,
    /// Changes that nobody waits for and that the database did not take: they go first the next time.
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
                Job::Write { changes, done } => self.write_group(changes, done),
                Job::Close(done) => {
                    drop(self.db);
                    // Whoever has stopped waiting does not care.
                    drop(done.send(Ok(())));
                    return;
                }
            };
            next = after.or_else(|| self.queue.blocking_recv());
        }
    }

    /// Commits these changes together with those that wait. Returns the job that ended the group.
    fn write_group(&mut self, changes: Vec<Change>, done: Option<Done>) -> Option<Job> {
        let mut group = vec![(changes, done)];
        let mut count = group[0].0.len();
        let mut after = None;
        while count < limits::STORE_GROUP_CHANGES {
            match self.queue.try_recv() {
                Ok(Job::Write { changes, done }) => {
                    count += changes.len();
                    group.push((changes, done));
                }
                Ok(other @ (Job::Read(_) | Job::Close(_))) => {
                    after = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.write(group);
        after
    }

    fn write(&mut self, mut group: Vec<(Vec<Change>, Option<Done>)>) {
        let overdue = std::mem::take(&mut self.overdue);
        if !overdue.is_empty() {
            group.insert(0, (overdue, None));
        }
        let all: Vec<Change> = group.iter().flat_map(|(changes, _)| changes).cloned().collect();
        let together = self.transaction(&all);
        let is_alone = group.len() == 1;
        let mut problem = None;
        for (changes, done) in group {
            // One that cannot be made must not take the others with it.
            let outcome = if together.is_ok() || is_alone {
                together.clone()
            } else {
                self.transaction(&changes)
            };
            if let Err(error) = &outcome {
                problem = Some(error.to_string());
            }
            match done {
                // Whoever has stopped waiting does not care.
                Some(done) => drop(done.send(outcome)),
                None if outcome.is_err() => self.keep(changes),
                None => {}
            }
        }
        self.problems.database(problem);
    }

    fn transaction(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.db.transaction(changes).map_err(|error| {
            tracing::error!(%error, changes = changes.len(), "the state database did not take changes");
            StoreError::Database(Arc::new(error))
        })
    }

    fn keep(&mut self, changes: Vec<Change>) {
        self.overdue.extend(changes);
        let excess = self.overdue.len().saturating_sub(limits::STORE_OVERDUE_CHANGES);
        self.overdue.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use cc_state::TaskAccepted;

    use super::*;

    fn task(id: &str, session_id: Option<&str>) -> Change {
        Change::TaskAccepted(Box::new(TaskAccepted {
            id: id.to_owned(),
            session_id: session_id.map(str::to_owned),
            label: None,
            command: "true".to_owned(),
            accepted_ms: 1,
            is_claude: false,
            is_prompt: false,
            leaf: None,
            deadlines: None,
            batch_id: None,
            shape: None,
        }))
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_made_fails_alone_and_a_read_sees_all_that_came_before() {
        let directory = tempfile::tempdir().unwrap();
        let (db, _) = StateDb::open(&directory.path().join("state.db")).unwrap();
        let store = Store::start(db, Arc::default()).unwrap();
        // The thread is busy until everything is queued, so that it is one group.
        let (release, released) = std::sync::mpsc::sync_channel(1);
        let busy = store.read(move |_| {
            released.recv().unwrap();
            Ok(())
        });
        let queueing = async {
            let good = store.commit(vec![task("good", None)]);
            let bad = store.commit(vec![task("bad", Some("a session that never began"))]);
            store.write(vec![task("unwaited", None)]).await;
            release.send(()).unwrap();
            tokio::join!(good, bad)
        };
        let (held, (good, bad)) = tokio::join!(busy, queueing);
        held.unwrap();
        good.unwrap();
        assert!(bad.unwrap_err().to_string().contains("state database"));
        let there = |id: &'static str| store.read(move |db| db.task(id));
        assert!(there("good").await.unwrap().is_some());
        assert!(there("unwaited").await.unwrap().is_some());
        assert!(there("bad").await.unwrap().is_none());
    }
}
