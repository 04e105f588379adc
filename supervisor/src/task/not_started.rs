//! Why an accepted task was never given to a worker.

use cc_proctree::shortage;

use crate::{storage::database::StoreError, worker::spawner::SpawnError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    /// The task could not be put on record.
    #[error(transparent)]
    Record(#[from] StoreError),
    #[error("the worker could not be started: {0}")]
    Worker(SpawnError),
    #[error("no process could be made for it ({0}), because too many run already: try again later")]
    Processes(SpawnError),
}

impl From<SpawnError> for NotStarted {
    fn from(error: SpawnError) -> Self {
        if error.is_want_of_processes() { Self::Processes(error) } else { Self::Worker(error) }
    }
}

impl NotStarted {
    /// Whether the machine is the cause and not the task: any other task would have failed too, and a later start may
    /// succeed.
    #[must_use]
    pub(crate) fn is_environmental(&self) -> bool {
        match self {
            Self::Record(StoreError::Directory { error, .. }) => shortage::is_environmental(error),
            // A failure of the database, or a directory that is gone, is never the task's fault.
            Self::Record(StoreError::Database(_) | StoreError::Removed(_)) => true,
            // No task is started any more.
            Self::Record(StoreError::Closed) => false,
            // Whatever keeps the worker program from running is no task's fault: it is being replaced, its file is
            // incomplete, may not be executed, or is for another machine.
            Self::Worker(_) | Self::Processes(_) => true,
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
