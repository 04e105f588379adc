//! The state directory: the lock that makes one supervisor its only user, and a directory for each task.
//!
//! Owns the layout `lock`, `state.db`, `tasks/TASK_ID/log`, `keepers/ID.sock`. It never removes anything: `task/retention.rs`
//! does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::storage::{
    directory::{Directory, DirectoryError},
    lock::{Lock, LockError},
};

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    #[error(
        "the state directory {path} is in use by the supervisor with pid {holder}: \
         stop that one, or give another --state-dir"
    )]
    InUse {
        path: PathBuf,
        /// As the lock file says.
        holder: String,
    },
    #[error("state directory: {0}")]
    Directory(#[from] DirectoryError),
    #[error("state directory: {0}")]
    Lock(LockError),
}

/// The state directory. It is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: Directory,
    tasks: Directory,
    keepers: Directory,
    lock: Lock,
}

impl StateDir {
    /// Creates what is missing and takes the lock.
    ///
    /// # Errors
    /// When it cannot be created, is in use, or is open to other users.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let root = Directory::named(path)?;
        let (tasks, keepers) = (root.inner("tasks")?, root.inner("keepers")?);
        let lock = Lock::take(&root).map_err(|error| match error {
            LockError::Held(holder) => StateDirError::InUse { path: path.to_owned(), holder },
            LockError::NotAFile(_) | LockError::Io { .. } => StateDirError::Lock(error),
        })?;
        Ok(Self { root, tasks, keepers, lock })
    }

    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    #[must_use]
    pub(crate) fn root(&self) -> &Directory {
        &self.root
    }

    #[must_use]
    pub(crate) fn database(&self) -> PathBuf {
        self.root.path().join("state.db")
    }

    #[must_use]
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.root.path().join("audit.log")
    }

    /// The directory of the keepers' sockets.
    #[must_use]
    pub(crate) fn keepers(&self) -> &Directory {
        &self.keepers
    }

    /// The directory that holds one directory a task.
    #[must_use]
    pub(crate) fn tasks(&self) -> &Directory {
        &self.tasks
    }

    #[must_use]
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }
}

/// The log's path in a task's directory.
#[must_use]
pub(crate) fn log_path(task_directory: &Path) -> PathBuf {
    task_directory.join("log")
}

/// The id of the task that has this log: the name of its directory.
#[must_use]
pub(crate) fn task_of_log(log_path: &Path) -> &str {
    let directory = log_path.parent().and_then(Path::file_name);
    directory.and_then(|name| name.to_str()).unwrap_or_default()
}

/// The ids of all tasks that have a directory, the oldest first.
///
/// # Errors
/// When the directory cannot be listed.
pub(crate) fn task_ids(tasks_dir: &Path) -> io::Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(tasks_dir)? {
        // Task ids are uuids of version 7: their order is that of time. Anything else is not ours.
        if let Some(name) = entry?.file_name().to_str()
            && uuid::Uuid::try_parse(name).is_ok()
        {
            ids.push(name.to_owned());
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The size of a file; 0 where there is none.
#[must_use]
pub(crate) fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_supervisor_learns_who_holds_the_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let first = StateDir::open(&path).unwrap();
        let error = StateDir::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        assert!(StateDir::open(&path).is_ok());
    }
}
