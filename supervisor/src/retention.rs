//! Keeps the disk from filling: of finished tasks only so many, and only so many bytes of logs, are kept; the
//! oldest go first.
//!
//! Owns the list of finished tasks, built from the directory at the start and kept up as tasks end, so that
//! nothing is listed again. It never touches a running task, nor one whose log somebody still reads.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{feed::Feed, limits, state_dir};

/// The finished tasks.
#[derive(Debug)]
pub struct Retention {
    tasks_dir: PathBuf,
    tasks_limit: usize,
    bytes_limit: u64,
    finished: Mutex<Finished>,
}

#[derive(Debug, Default)]
struct Finished {
    /// Oldest first.
    tasks: VecDeque<FinishedTask>,
    bytes: u64,
}

#[derive(Debug)]
struct FinishedTask {
    task_id: String,
    bytes: u64,
    /// Alive while somebody follows the task.
    feed: Weak<Feed>,
}

impl Retention {
    /// Reads what earlier supervisors left in `tasks_dir`, all of it finished, and removes what is too much.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn load(tasks_dir: &Path) -> io::Result<Self> {
        Self::with_limits(tasks_dir, limits::KEPT_TASKS, limits::KEPT_LOG_BYTES)
    }

    fn with_limits(tasks_dir: &Path, tasks_limit: usize, bytes_limit: u64) -> io::Result<Self> {
        let mut names = Vec::new();
        for entry in fs::read_dir(tasks_dir)? {
            let entry = entry?;
            // Task ids are uuids of version 7: their order is that of time. Anything else is not ours.
            if let Some(name) = entry.file_name().to_str()
                && uuid::Uuid::try_parse(name).is_ok()
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        let retention = Self {
            tasks_dir: tasks_dir.to_owned(),
            tasks_limit,
            bytes_limit,
            finished: Mutex::default(),
        };
        for task_id in names {
            retention.add(task_id, Weak::new());
        }
        retention.remove_too_much();
        Ok(retention)
    }

    /// Takes note of a task that has ended, and removes what is too much now.
    pub fn task_ended(self: &Arc<Self>, task_id: &str, feed: &Arc<Feed>) {
        let retention = Arc::clone(self);
        let task_id = task_id.to_owned();
        let feed = Arc::downgrade(feed);
        tokio::task::spawn_blocking(move || {
            retention.add(task_id, feed);
            retention.remove_too_much();
        });
    }

    fn add(&self, task_id: String, feed: Weak<Feed>) {
        let log = state_dir::log_path(&self.tasks_dir.join(&task_id));
        let bytes = state_dir::file_bytes(&log);
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.bytes += bytes;
        finished.tasks.push_back(FinishedTask { task_id, bytes, feed });
    }

    fn remove_too_much(&self) {
        while let Some(task_id) = self.take_oldest_beyond_limits() {
            if let Err(error) = fs::remove_dir_all(self.tasks_dir.join(&task_id)) {
                tracing::warn!(task_id, %error, "an old task's log cannot be removed");
            }
        }
    }

    fn take_oldest_beyond_limits(&self) -> Option<String> {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.tasks.len() <= self.tasks_limit && finished.bytes <= self.bytes_limit {
            return None;
        }
        let index = finished.tasks.iter().position(|task| task.feed.strong_count() == 0)?;
        let task = finished.tasks.remove(index)?;
        finished.bytes -= task.bytes;
        Some(task.task_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished_task(tasks: &Path, log_bytes: usize) -> String {
        let task_id = uuid::Uuid::now_v7().to_string();
        let directory = tasks.join(&task_id);
        fs::create_dir(&directory).unwrap();
        fs::write(state_dir::log_path(&directory), vec![0; log_bytes]).unwrap();
        task_id
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = directory.path();
        let ids: Vec<String> = (0..5).map(|_| finished_task(tasks, 10)).collect();
        let left = || -> Vec<bool> { ids.iter().map(|id| tasks.join(id).exists()).collect() };
        Retention::with_limits(tasks, 4, 1000).unwrap();
        assert_eq!(left(), [false, true, true, true, true]);
        Retention::with_limits(tasks, 4, 25).unwrap();
        assert_eq!(left(), [false, false, false, true, true]);
    }

    #[test]
    fn what_is_no_task_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("precious")).unwrap();
        Retention::with_limits(directory.path(), 0, 0).unwrap();
        assert!(directory.path().join("precious").exists());
    }

    #[test]
    fn a_log_that_is_still_read_stays_until_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let retention = Retention::with_limits(directory.path(), 0, 0).unwrap();
        let id = finished_task(directory.path(), 10);
        let feed = Feed::new(PathBuf::new(), 0);
        retention.add(id.clone(), Arc::downgrade(&feed));
        retention.remove_too_much();
        assert!(directory.path().join(&id).exists());
        drop(feed);
        retention.remove_too_much();
        assert!(!directory.path().join(&id).exists());
    }
}
