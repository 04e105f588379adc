//! Keeps the disk from filling: of ended tasks only those of a certain age, number and size of logs are kept; the
//! oldest go first.
//!
//! Owns the list of ended tasks, which is given to it at the start and kept up as tasks end, so that nothing is
//! listed again. It never touches a running task, nor one that somebody follows, nor one that has ended so
//! recently that a client may still resume its session for the end of it. A limit of 0 keeps nothing beyond that.
//! What is old is old by [`crate::ops::trusted_time`]: a clock that is wrong for a moment removes nothing.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cc_state::Change;
use tokio::task::spawn_blocking;

use crate::{
    config::{Keep, limits},
    ops::{clock, metrics::Metrics, trusted_time::TrustedTime},
    storage::database::Store,
    task::feed::Feed,
};

/// How much is kept; whichever limit is reached first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetentionLimits {
    /// Since a task's end.
    pub age: Duration,
    /// Tasks.
    pub tasks: usize,
    /// Bytes of all logs together.
    pub bytes: u64,
    /// Since a task's end, whatever the others say: its client may come back for it.
    pub grace: Duration,
}

impl RetentionLimits {
    /// As configured, on the file system that holds `tasks_dir`.
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

/// A task that has ended.
#[derive(Clone, Debug)]
pub(crate) struct EndedTask {
    /// Its id.
    pub task_id: String,
    /// Milliseconds since the Unix epoch.
    pub ended_ms: u64,
    /// Size of its log.
    pub log_bytes: u64,
    /// Alive while somebody follows the task.
    pub feed: Weak<Feed>,
}

/// The tasks that have ended.
#[derive(Debug)]
pub(crate) struct Retention {
    tasks_dir: PathBuf,
    rules: RetentionLimits,
    /// Whoever was to come back before this can come back only from now on.
    began_ms: AtomicU64,
    ended: Mutex<EndedTasks>,
    /// Since somebody first asked.
    time: Mutex<Option<TrustedTime>>,
}

#[derive(Debug, Default)]
struct EndedTasks {
    /// By the time of their end.
    tasks: VecDeque<EndedTask>,
    bytes: u64,
}

impl Retention {
    /// Of the tasks below `tasks_dir`, none of which is known yet, by a supervisor that began at `began_ms`.
    #[must_use]
    pub(crate) fn new(tasks_dir: &Path, rules: RetentionLimits, began_ms: u64) -> Self {
        Self {
            tasks_dir: tasks_dir.to_owned(),
            rules,
            began_ms: AtomicU64::new(began_ms),
            ended: Mutex::default(),
            time: Mutex::default(),
        }
    }

    /// The time by which things are old, milliseconds since the Unix epoch. The tasks of earlier supervisors have been
    /// added before this is first asked.
    #[must_use]
    pub(crate) fn now_ms(&self) -> u64 {
        let (wall_ms, boot_ms) = (clock::now_ms(), clock::boot_ms());
        let newest_ms = self.ended().tasks.back().map(|task| task.ended_ms);
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = time.is_none();
        let now_ms = time
            .get_or_insert_with(|| TrustedTime::new(wall_ms, boot_ms, newest_ms, self.rules.age))
            .now_ms(wall_ms, boot_ms);
        if is_first {
            self.began_ms.fetch_min(now_ms, Ordering::Relaxed);
        }
        now_ms
    }

    /// Takes note of a task that has ended; removes nothing.
    pub(crate) fn add(&self, task: EndedTask) {
        let mut ended = self.ended();
        ended.bytes += task.log_bytes;
        let place = ended.tasks.partition_point(|earlier| earlier.ended_ms <= task.ended_ms);
        ended.tasks.insert(place, task);
    }

    /// Removes what is too much. Returns the ids of what is gone. Blocks.
    #[must_use]
    pub(crate) fn remove_too_much(&self, now_ms: u64) -> Vec<String> {
        let mut removed = Vec::new();
        while let Some(task) = self.take_one_too_many(now_ms) {
            match fs::remove_dir_all(self.tasks_dir.join(&task.task_id)) {
                Ok(()) => removed.push(task.task_id),
                Err(error) if error.kind() == io::ErrorKind::NotFound => removed.push(task.task_id),
                Err(error) => {
                    let task_id = &task.task_id;
                    tracing::warn!(task_id, %error, "an old task's log cannot be removed");
                }
            }
        }
        removed
    }

    /// Whether there is something to remove, unless somebody follows it. Costs next to nothing.
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

    /// The first tasks of the list, as far as the rules have them go: as long as they are too many, the next one.
    fn too_much<'a>(
        &self,
        ended: &'a EndedTasks,
        now_ms: u64,
    ) -> impl Iterator<Item = &'a EndedTask> + use<'a> {
        let (rules, began_ms) = (self.rules, self.began_ms.load(Ordering::Relaxed));
        let is_over = move |since_ms: u64, time: Duration| {
            let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            since_ms.saturating_add(time_ms) <= now_ms
        };
        let are_too_many = ended.tasks.len() > rules.tasks || ended.bytes > rules.bytes;
        // Whoever has ended later has not waited longer.
        ended.tasks.iter().take_while(move |task| {
            is_over(task.ended_ms.max(began_ms), rules.grace)
                && (are_too_many || is_over(task.ended_ms, rules.age))
        })
    }

    fn ended(&self) -> MutexGuard<'_, EndedTasks> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what is too much, and has the database forget it.
pub(crate) async fn clean(retention: Arc<Retention>, store: Store, metrics: Arc<Metrics>) {
    let removing = spawn_blocking(move || retention.remove_too_much(retention.now_ms()));
    match removing.await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => {
            let forget = |id| {
                tracing::debug!(task_id = id, "the log of an ended task was removed");
                metrics.log_removed();
                Change::TaskForgotten { id }
            };
            store.write(removed.into_iter().map(forget).collect()).await;
        }
        Err(error) => tracing::error!(%error, "removing old logs"),
    }
}

#[cfg(test)]
mod tests;
