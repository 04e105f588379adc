//! The log of a task that never began, made in the place of its worker.
//!
//! A worker makes its log before it starts its task, and starts nothing where there is a log already. So whoever makes the log
//! first decides, and a log that a supervisor made says for certain that nothing of the task has run. That must be known also
//! to the next supervisor, should this one be killed before it has written the task's end: a log that was made here is a
//! second name of another file, which no worker makes.

use std::{
    fs::{hard_link, metadata, remove_file},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use cc_link::spec::Fsync;
use cc_tasklog::LogWriter;

const NAME: &str = "never-began";

/// Makes the log. True where it was made here, or by an earlier supervisor: the task never began, and never will.
pub(super) fn claim(log_path: &Path, fsync: Fsync) -> bool {
    let own = path(log_path);
    if is_same_file(&own, log_path).unwrap_or(false) {
        return true;
    }
    // Of a supervisor that came no further.
    drop(remove_file(&own));
    let linked = LogWriter::create(&own, fsync).and_then(|_| hard_link(&own, log_path));
    match linked {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        // A file system without second names.
        Err(_) => LogWriter::create(log_path, fsync).is_ok(),
    }
}

/// To be called when the log has its end, which says what the second name has said so far.
pub(super) fn settle(log_path: &Path) {
    drop(remove_file(path(log_path)));
}

fn path(log_path: &Path) -> PathBuf {
    log_path.with_file_name(NAME)
}

fn is_same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (metadata(one)?, metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_a_supervisor_made_is_known_as_such_to_the_next_one_until_it_has_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        assert!(claim(&log, Fsync::Never));
        assert!(LogWriter::create(&log, Fsync::Never).is_err(), "the worker comes too late");
        assert!(claim(&log, Fsync::Never));
        settle(&log);
        assert!(!claim(&log, Fsync::Never));
    }

    #[test]
    fn a_log_that_the_worker_made_is_its_own_whatever_a_supervisor_has_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        std::fs::write(path(&log), "").unwrap();
        drop(LogWriter::create(&log, Fsync::Never).unwrap());
        assert!(!claim(&log, Fsync::Never));
        assert!(!claim(&log, Fsync::Never));
    }
}
