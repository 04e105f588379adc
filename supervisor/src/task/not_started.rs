//! Why a task that was accepted never got as far as its worker.

use cc_proctree::shortage;

use crate::{storage::database::StoreError, worker::spawner::SpawnError};

/// Why no worker was ever told of a task.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// It could not be put on record.
    #[error(transparent)]
    Record(#[from] StoreError),
    /// There is no worker to be had.
    #[error("the worker could not be started: {0}")]
    Worker(#[from] SpawnError),
}

impl NotStarted {
    /// Whether it is the machine's trouble and not the task's: another start may succeed, and no other task would have
    /// fared better now.
    #[must_use]
    pub(crate) fn is_environmental(&self) -> bool {
        match self {
            Self::Record(StoreError::Directory { error, .. }) => shortage::is_environmental(error),
            // No task can do anything about the database.
            Self::Record(StoreError::Database(_)) => true,
            // Nothing is started any more.
            Self::Record(StoreError::Closed) => false,
            // The program is ours: whatever keeps it from running (somebody replaces it at this moment, its file is
            // half there, may not be executed, is of another machine) is no task's fault.
            Self::Worker(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_full_disk_and_a_worker_that_cannot_be_started_are_the_machines_trouble() {
        let directory = |errno: Errno| {
            let error = Arc::new(io::Error::from(errno));
            NotStarted::from(StoreError::Directory { path: "/state/tasks/id".into(), error })
        };
        assert!(directory(Errno::NOSPC).is_environmental());
        assert!(directory(Errno::DQUOT).is_environmental());
        assert!(!directory(Errno::ACCESS).is_environmental());
        assert!(!NotStarted::from(StoreError::Closed).is_environmental());
        let worker = |error: io::Error| {
            NotStarted::from(SpawnError { program: "/bin/cc-worker".into(), error: error.into() })
        };
        use Errno as E;
        let away = [E::NOENT, E::NOTDIR, E::LOOP, E::NOEXEC, E::ACCESS, E::TXTBSY];
        for errno in away.into_iter().chain([E::AGAIN, E::MFILE, E::NOMEM]) {
            assert!(worker(errno.into()).is_environmental(), "{errno}");
        }
    }
}
