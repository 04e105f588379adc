//! The one thread that owns the database, and the handle by which everybody else uses it.
//!
//! Changes are queued and committed in groups: whatever waits when the thread is free goes into one
//! transaction. Reads see every change that was queued before them. A caller either waits until its change is
//! committed ([`Store::commit`], and [`Store::put_on_record`] for a new task) or leaves it to the thread
//! ([`Store::write`]). The task log is the truth about a task; what is lost here by a failing disk is found again at
//! the next start.
//!
//! A transaction, and waking a thread for it, costs more than what is in it. So what the task logs say as well
//! ([`Store::note`]) does not wake a thread that has just written something: it goes with what comes next, and waits
//! for that no longer than [`limits::STORE_LINGER`]. A short task costs one transaction: its acceptance takes the
//! start and the end of the one before along.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread::{self, Thread},
    time::Instant,
};

use cc_state::{Change, StateDb, StateError};
use tokio::sync::{mpsc, oneshot};

use crate::{config::limits, ops::health::Health, storage::state_dir::make_task_directory};

/// Why what was asked was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A task's directory cannot be made: a full disk, a missing permission.
    #[error("{path}: {error}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// The database failed.
    #[error("the state database: {0}")]
    Database(Arc<StateError>),
    /// The database is closed: the supervisor is ending.
    #[error("the state database is closed")]
    Closed,
}

type Done = oneshot::Sender<Result<(), StoreError>>;
type Reading = Box<dyn FnOnce(&StateDb) + Send>;

enum Job {
    Write(Write),
    Read(Reading),
    Close(Done),
}

/// Changes that belong together.
struct Write {
    /// Of a new task, to be made before it is on record: what has a row but no directory would not be found again.
    directory: Option<PathBuf>,
    changes: Vec<Change>,
    /// Hears how it went.
    done: Option<Done>,
}

impl Write {
    fn of(changes: Vec<Change>) -> Self {
        Self { directory: None, changes, done: None }
    }
}

/// The handle. Clones share the thread, which ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    thread: Thread,
}

impl Store {
    /// Starts the thread. It ends when the last handle is dropped, with everything committed that was queued.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(db: StateDb, problems: Arc<Health>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(limits::STORE_QUEUE_JOBS);
        let thread = thread::Builder::new()
            .name("state.db".to_owned())
            .spawn(move || Server { db, queue, problems, overdue: Vec::new() }.serve())?;
        Ok(Self { jobs, thread: thread.thread().clone() })
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
        if self.queue(Job::Close(done)).await.is_ok() {
            drop(closed.await);
        }
    }

    /// Queues changes and goes on; waits only where the queue is full.
    pub async fn write(&self, changes: Vec<Change>) {
        if self.queue(Job::Write(Write::of(changes))).await.is_err() {
            tracing::error!("a change of state came after the database was closed");
        }
    }

    /// Queues a change without ever waiting, to be committed soon. Where the queue is full it is left out: only for
    /// what the task log says as well. Says whether it is queued.
    pub fn note(&self, change: Change) -> bool {
        let is_queued = self.jobs.try_send(Job::Write(Write::of(vec![change]))).is_ok();
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
        self.wait_for(Write::of(changes)).await
    }

    /// Makes the directory of a new task and commits the changes that put it on record, in this order; waits for both.
    ///
    /// # Errors
    /// When one of them is not done. Without a directory nothing is committed.
    pub async fn put_on_record(
        &self,
        directory: PathBuf,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        self.wait_for(Write { directory: Some(directory), ..Write::of(changes) }).await
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
        self.queue(Job::Read(Box::new(reading))).await?;
        let result = outcome.await.map_err(|_| StoreError::Closed)?;
        result.map_err(|error| StoreError::Database(Arc::new(error)))
    }

    async fn wait_for(&self, write: Write) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.queue(Job::Write(Write { done: Some(done), ..write })).await?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues a job that is not to wait for others to come.
    async fn queue(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        self.thread.unpark();
        Ok(())
    }
}

/// What the thread works with.
struct Server {
    db: StateDb,
    queue: mpsc::Receiver<Job>,
    problems: Arc<Health>,
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
                Job::Write(write) => self.write_group(write),
                Job::Close(done) => {
                    drop(self.db);
                    // Whoever has stopped waiting does not care.
                    drop(done.send(Ok(())));
                    return;
                }
            };
            next = after.or_else(|| self.next());
        }
    }

    /// The next job; `None` when there will be none. For a while after the last one a note does not wake this thread.
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

    /// Commits these changes together with those that wait. Returns the job that ended the group.
    fn write_group(&mut self, first: Write) -> Option<Job> {
        let mut group = Vec::new();
        let mut count = 0;
        let mut next = Some(Job::Write(first));
        while let Some(Job::Write(write)) = next {
            count += write.changes.len();
            group.extend(with_directory(write));
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

    fn transaction<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        self.db.transaction(changes).map_err(|error| {
            tracing::error!(%error, "the state database did not take changes");
            StoreError::Database(Arc::new(error))
        })
    }

    fn keep(&mut self, changes: Vec<Change>) {
        self.overdue.extend(changes);
        let excess = self.overdue.len().saturating_sub(limits::STORE_OVERDUE_CHANGES);
        self.overdue.drain(..excess);
    }
}

/// Makes the directory that this needs. `None`: it cannot be made, and whoever waits has heard so.
fn with_directory(write: Write) -> Option<Write> {
    let Some(path) = &write.directory else { return Some(write) };
    let Err(error) = make_task_directory(path) else { return Some(write) };
    let error = StoreError::Directory { path: path.clone(), error: Arc::new(error) };
    if let Some(done) = write.done {
        // Whoever has stopped waiting does not care.
        drop(done.send(Err(error)));
    }
    None
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

    #[tokio::test]
    async fn a_task_without_a_directory_is_not_put_on_record_and_stops_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let (db, _) = StateDb::open(&directory.path().join("state.db")).unwrap();
        let problems = Arc::<Health>::default();
        let store = Store::start(db, Arc::clone(&problems)).unwrap();
        let (there, missing) = (directory.path().join("there"), directory.path().join("no/where"));
        let (good, bad) = tokio::join!(
            store.put_on_record(there.clone(), vec![task("good", None)]),
            store.put_on_record(missing.clone(), vec![task("bad", None)]),
        );
        good.unwrap();
        assert!(there.is_dir());
        let error = bad.unwrap_err().to_string();
        assert!(error.contains(missing.to_str().unwrap()), "which one: {error}");
        assert!(store.read(|db| db.task("good")).await.unwrap().is_some());
        assert!(store.read(|db| db.task("bad")).await.unwrap().is_none());
        assert!(problems.texts().is_empty(), "the database is not at fault");
    }

    #[tokio::test]
    async fn a_note_is_committed_without_anybody_waiting_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let (db, _) = StateDb::open(&path).unwrap();
        let store = Store::start(db, Arc::default()).unwrap();
        // It has just written something, so that the note does not wake it.
        store.commit(vec![task("waited for", None)]).await.unwrap();
        assert!(store.note(task("noted", None)));
        let patience = Instant::now() + std::time::Duration::from_secs(60);
        let (elsewhere, _) = StateDb::open(&path).unwrap();
        while elsewhere.task("noted").unwrap().is_none() {
            assert!(Instant::now() < patience, "it is not there");
            tokio::task::yield_now().await;
        }
    }
}
