//! The state directory: the lock that makes one supervisor its only user, and a directory for each task.
//!
//! Owns the layout `lock`, `state.db`, `tasks/TASK_ID/log`, `keepers/ID.sock`. It never removes anything: `task/retention.rs`
//! does.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Instant,
};

use cc_proctree::procfs::Process;

use crate::config::limits;

const OWNER_ONLY: u32 = 0o700;

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
    #[error("state directory: {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// The state directory. It is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    tasks: PathBuf,
    keepers: PathBuf,
    database: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates what is missing and takes the lock.
    ///
    /// # Errors
    /// When it cannot be created or is in use.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let (tasks, keepers) = (path.join("tasks"), path.join("keepers"));
        for directory in [path, &tasks, &keepers] {
            DirBuilder::new()
                .recursive(true)
                .mode(OWNER_ONLY)
                .create(directory)
                .map_err(|error| io_error(directory, error))?;
        }
        let lock = lock(path)?;
        Ok(Self { tasks, keepers, database: path.join("state.db"), _lock: lock })
    }

    #[must_use]
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// The directory of the keepers' sockets.
    #[must_use]
    pub(crate) fn keepers(&self) -> &Path {
        &self.keepers
    }

    /// The directory that holds one directory a task.
    #[must_use]
    pub(crate) fn tasks(&self) -> &Path {
        &self.tasks
    }
}

/// Creates the directory of a task. Blocks on the disk.
///
/// # Errors
/// When it cannot be created: a full disk, a missing permission.
pub(crate) fn make_task_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(OWNER_ONLY).create(directory)
}

/// The log's path in a task's directory.
#[must_use]
pub(crate) fn log_path(task_directory: &Path) -> PathBuf {
    task_directory.join("log")
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

fn lock(directory: &Path) -> Result<File, StateDirError> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io_error(&path, error))?;
    let patience = Instant::now() + limits::LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file).map_err(|error| io_error(&path, error))?;
                // When a supervisor is killed while it starts a worker, the child has its lock until it executes the
                // worker.
                if is_alive(&holder) || Instant::now() >= patience {
                    return Err(StateDirError::InUse { path: directory.to_owned(), holder });
                }
                std::thread::sleep(limits::LOCK_RETRY);
            }
            Err(TryLockError::Error(error)) => return Err(io_error(&path, error)),
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| io_error(&path, error))?;
    Ok(file)
}

/// The pid in the lock file.
fn holder(file: &mut File) -> io::Result<String> {
    let mut holder = String::new();
    file.rewind()?;
    file.read_to_string(&mut holder)?;
    Ok(match holder.trim() {
        "" => "unknown",
        known => known,
    }
    .to_owned())
}

fn is_alive(holder: &str) -> bool {
    let process = holder.parse().ok().and_then(Process::read);
    process.is_some_and(|process| !process.is_dead())
}

fn io_error(path: &Path, error: io::Error) -> StateDirError {
    StateDirError::Io { path: path.to_owned(), error }
}

/// The size of a file; 0 where there is none.
#[must_use]
pub(crate) fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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

    #[tokio::test]
    async fn nobody_else_can_read_what_tasks_print() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let state_dir = StateDir::open(&path).unwrap();
        let task = state_dir.tasks().join("id");
        make_task_directory(&task).unwrap();
        for directory in [path.as_path(), state_dir.tasks(), &task] {
            assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
