//! Keeps the disk from filling: the logs of ended tasks are kept up to an age, a number and a size; the oldest are removed
//! first.
//!
//! Owns the list of ended tasks. It gets those of earlier supervisors at the start and each task as it ends, so the disk is
//! never listed. It never removes a running task, one that has a follower, or one that has ended so recently that its
//! client may still resume the session for its end. A limit of 0 keeps nothing else. Ages are measured by
//! [`crate::ops::trusted_time`]: a clock that is wrong for a moment removes nothing.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cc_state::Change;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    config::{Keep, limits},
    ops::{clock, metrics::Metrics, stage::StageWatch, trusted_time::TrustedTime},
    storage::database::Store,
    task::feed::Feed,
};

/// How much is kept: until one of the limits is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetentionLimits {
    /// Since a task's end.
    pub age: Duration,
    pub tasks: usize,
    /// All logs together.
    pub bytes: u64,
    /// Since a task's end. A task is kept so long whatever the other limits are: its client may resume the session.
    pub grace: Duration,
}

impl RetentionLimits {
    /// The limits as configured, for the file system that holds `tasks_dir`.
    #[must_use]
    pub(crate) fn new(keep: Keep, grace: Duration, tasks_dir: &Path) -> Self {
        let bytes = keep.bytes.unwrap_or_else(|| {
            let share = file_system_bytes(tasks_dir) / limits::KEEP_BYTES_SHARE;
            limits::DEFAULT_KEEP_BYTES.min(share)
        });
        Self { age: keep.age, tasks: keep.tasks, bytes, grace }
    }
}

fn file_system_bytes(path: &Path) -> u64 {
    nix::sys::statvfs::statvfs(path).map_or(u64::MAX, |file_system| {
        file_system.blocks().saturating_mul(file_system.fragment_size())
    })
}

#[derive(Clone, Debug)]
pub(crate) struct EndedTask {
    pub task_id: String,
    /// Milliseconds since the Unix epoch.
    pub ended_ms: u64,
    pub log_bytes: u64,
    /// Alive while the task has a follower.
    pub feed: Weak<Feed>,
}

#[derive(Debug)]
pub(crate) struct Retention {
    tasks_dir: PathBuf,
    rules: Mutex<RetentionLimits>,
    /// The start of this supervisor: the grace of an earlier end begins here, because no client could come before.
    began_ms: AtomicU64,
    ended: Mutex<EndedTasks>,
    /// Set by the first call of `now_ms`.
    time: Mutex<Option<TrustedTime>>,
    /// Whose turn it is to remove what is too much.
    turn: tokio::sync::Mutex<()>,
    /// Somebody waits for it.
    is_awaited: AtomicBool,
}

/// How much is removed at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub tasks: usize,
    pub time: Duration,
}

#[derive(Debug, Default)]
struct EndedTasks {
    /// Ordered by the time of their end.
    tasks: VecDeque<EndedTask>,
    bytes: u64,
}

impl Retention {
    /// Knows no ended task yet. `began_ms` is the start of the supervisor.
    #[must_use]
    pub(crate) fn new(tasks_dir: &Path, rules: RetentionLimits, began_ms: u64) -> Self {
        Self {
            tasks_dir: tasks_dir.to_owned(),
            rules: Mutex::new(rules),
            began_ms: AtomicU64::new(began_ms),
            ended: Mutex::default(),
            time: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            is_awaited: AtomicBool::new(false),
        }
    }

    /// Changes the limits, by which the next look goes.
    pub(crate) fn set_limits(&self, rules: RetentionLimits) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> RetentionLimits {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which ages are measured, in milliseconds since the Unix epoch. The tasks of earlier supervisors must be
    /// added before the first call.
    #[must_use]
    pub(crate) fn now_ms(&self) -> u64 {
        let (wall_ms, boot_ms) = (clock::now_ms(), clock::boot_ms());
        let newest_ms = self.ended().tasks.back().map(|task| task.ended_ms);
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = time.is_none();
        let now_ms = time
            .get_or_insert_with(|| TrustedTime::new(wall_ms, boot_ms, newest_ms, self.rules().age))
            .now_ms(wall_ms, boot_ms);
        if is_first {
            self.began_ms.fetch_min(now_ms, Ordering::Relaxed);
        }
        now_ms
    }

    /// What the logs of the tasks that have ended take.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.ended().bytes
    }

    /// Adds a task that has ended. Removes nothing.
    pub(crate) fn add(&self, task: EndedTask) {
        let mut ended = self.ended();
        ended.bytes += task.log_bytes;
        let place = ended.tasks.partition_point(|earlier| earlier.ended_ms <= task.ended_ms);
        ended.tasks.insert(place, task);
    }

    /// Removes logs that exceed the limits until so many are gone or so much time is over. Returns the ids of their tasks,
    /// and whether all is done. Blocks.
    #[must_use]
    pub(crate) fn remove_some(&self, now_ms: u64, slice: Slice) -> (Vec<String>, bool) {
        let began = Instant::now();
        let mut removed = Vec::new();
        let mut taken = 0;
        while taken < slice.tasks && (taken == 0 || began.elapsed() < slice.time) {
            let Some(task) = self.take_one_too_many(now_ms) else { return (removed, true) };
            taken += 1;
            match fs::remove_dir_all(self.tasks_dir.join(&task.task_id)) {
                Ok(()) => removed.push(task.task_id),
                Err(error) if error.kind() == io::ErrorKind::NotFound => removed.push(task.task_id),
                Err(error) => {
                    let task_id = &task.task_id;
                    tracing::warn!(task_id, %error, "an old task's log cannot be removed");
                }
            }
        }
        (removed, false)
    }

    /// Whether the limits are exceeded; all that exceeds them may have followers, though. Costs next to nothing.
    #[must_use]
    pub(crate) fn has_too_much(&self, now_ms: u64) -> bool {
        self.too_much(&self.ended(), now_ms).next().is_some()
    }

    fn take_one_too_many(&self, now_ms: u64) -> Option<EndedTask> {
        let mut ended = self.ended();
        let index = self.too_much(&ended, now_ms).position(|task| task.feed.strong_count() == 0)?;
        let task = ended.tasks.remove(index)?;
        ended.bytes -= task.log_bytes;
        Some(task)
    }

    /// The tasks at the beginning of the list that may be removed. Where number or bytes are exceeded these are all whose
    /// grace is over: each removal is followed by another call.
    fn too_much<'a>(
        &self,
        ended: &'a EndedTasks,
        now_ms: u64,
    ) -> impl Iterator<Item = &'a EndedTask> + use<'a> {
        let (rules, began_ms) = (self.rules(), self.began_ms.load(Ordering::Relaxed));
        let is_over = move |since_ms: u64, time: Duration| {
            let time_ms = clock::milliseconds(time);
            since_ms.saturating_add(time_ms) <= now_ms
        };
        let are_too_many = ended.tasks.len() > rules.tasks || ended.bytes > rules.bytes;
        // The list is ordered by end: a task behind one that must stay has not waited longer.
        ended.tasks.iter().take_while(move |task| {
            is_over(task.ended_ms.max(began_ms), rules.grace)
                && (are_too_many || is_over(task.ended_ms, rules.age))
        })
    }

    fn ended(&self) -> MutexGuard<'_, EndedTasks> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the logs that exceed the limits, and their tasks from the database: a few at a time, with pauses, because clients
/// wait for the same disk and the same database. Ends early when the supervisor stops.
pub(crate) async fn clean(
    retention: Arc<Retention>,
    store: Store,
    metrics: Arc<Metrics>,
    stage: StageWatch,
) {
    // Each task's end asks for it. One cleans, and one more waits for what comes meanwhile.
    if retention.is_awaited.swap(true, Ordering::Relaxed) {
        return;
    }
    let turn = retention.turn.lock().await;
    retention.is_awaited.store(false, Ordering::Relaxed);
    while !stage.is_stopping() {
        let cleaned = Arc::clone(&retention);
        let slice = Slice { tasks: limits::RETENTION_SLICE_TASKS, time: limits::RETENTION_SLICE };
        let removing = spawn_blocking(move || {
            let began = Instant::now();
            let (removed, is_done) = cleaned.remove_some(cleaned.now_ms(), slice);
            (removed, is_done, began.elapsed())
        });
        let (removed, is_done, took) = match removing.await {
            Ok(outcome) => outcome,
            Err(error) => return tracing::error!(%error, "removing old logs"),
        };
        let forget = |id| {
            tracing::debug!(task_id = id, "the log of an ended task was removed");
            metrics.storage.log_removed();
            Change::TaskForgotten { id }
        };
        if !removed.is_empty() {
            store.write(removed.into_iter().map(forget).collect()).await;
        }
        if is_done {
            break;
        }
        // Bounded, so that logs are removed faster than new ones can come, however slow the disk is.
        sleep((took * 2).min(limits::RETENTION_PAUSE)).await;
    }
    drop(turn);
}

#[cfg(test)]
mod tests;
