//! Why the state database cannot be opened, read or changed, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be made.
    #[error("state database {path} cannot be created: {source}")]
    Create { path: PathBuf, source: io::Error },
    /// A link would have another file changed; a FIFO or a device is no database.
    #[error("state database {path} is a symbolic link or no regular file: move it away")]
    NotAFile { path: PathBuf },
    /// An SQLite database, but not one of ours. It is left as it is.
    #[error(
        "{path} is another program's database: give another --state-dir, or move it away to begin \
         with an empty one"
    )]
    Foreign { path: PathBuf },
    /// A newer version of this program has written it. It is left as it is.
    #[error(
        "state database {path} has schema version {found}, and this program knows those up to \
         {known}: start the newer program that wrote it, or give another --state-dir"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// It is no database at all, or its contents contradict themselves. It is left as it is.
    #[error(
        "state database {path} is damaged ({detail}): restore it from a copy, or move it and its \
         -wal file away to begin with an empty one; the task logs beside it are not affected"
    )]
    Damaged { path: PathBuf, detail: String },
    /// The file system has no shared memory files or no locks, as network file systems.
    #[error(
        "state database {path} cannot have a write-ahead log (journal mode {mode} is what its file \
         system allows): put --state-dir on a local disk"
    )]
    NoWriteAheadLog {
        path: PathBuf,
        /// The journal mode that it has instead.
        mode: String,
    },
    /// An older database could not be brought up to date. It is as it was.
    #[error("state database {path} cannot be brought from schema version {from} to {to}: {detail}")]
    Migration { path: PathBuf, from: u32, to: u32, detail: String },
    /// There is no room on the disk for the change. It can be repeated when there is.
    #[error("state database {path} cannot grow: the disk is full, make room on it")]
    DiskFull { path: PathBuf },
    /// Another program holds a lock on it. The call can be repeated.
    #[error(
        "state database {path} is locked by another program: close the program that has it open, \
         such as sqlite3"
    )]
    Busy { path: PathBuf },
    #[error("state database {path}: {source}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

impl StateError {
    /// Whether the change contradicts what is stored: the database is sound, and the same change fails again.
    #[must_use]
    pub fn is_of_the_change(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => {
                source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            }
            Self::Create { .. }
            | Self::NotAFile { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::NoWriteAheadLog { .. }
            | Self::Migration { .. }
            | Self::DiskFull { .. }
            | Self::Busy { .. } => false,
        }
    }
}

/// Names the file and sorts out what a caller can do something about.
pub(crate) fn at(path: &Path) -> impl FnOnce(rusqlite::Error) -> StateError {
    let path = path.to_owned();
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StateError::Damaged { path, detail: source.to_string() }
        }
        Some(ErrorCode::DiskFull) => StateError::DiskFull { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateError::Busy { path },
        Some(_) | None => StateError::Sqlite { path, source },
    }
}
