//! The lock that makes one supervisor the only user of a state directory.
//!
//! It also tells whether the directory at the path is still this supervisor's: `rm -r` takes the lock's file with it, and
//! another supervisor that starts there makes a file of its own.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use cc_proctree::procfs::Process;
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
};

use crate::{config::limits, storage::directory::Directory};

const NAME: &str = "lock";

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// The holder's pid, as the file says.
    #[error("in use by the supervisor with pid {0}")]
    Held(String),
    #[error("{0} is a symbolic link or no regular file: move it away")]
    NotAFile(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// The lock, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of a directory.
    ///
    /// # Errors
    /// When another process has it, or its file cannot be made.
    pub(crate) fn take(directory: &Directory) -> Result<Self, LockError> {
        let path = directory.path().join(NAME);
        let at = |error: io::Error| LockError::Io { path: path.clone(), error };
        // A link would have another file truncated; a FIFO would let this process wait for ever.
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(directory.descriptor(), NAME, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(opened.map_err(|errno| match errno {
            Errno::LOOP | Errno::ISDIR | Errno::NXIO => LockError::NotAFile(path.clone()),
            other => at(other.into()),
        })?);
        if !file.metadata().map_err(at)?.is_file() {
            return Err(LockError::NotAFile(path));
        }
        wait(&mut file, &path)?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(at)?;
        Ok(Self { file, path })
    }

    /// Whether the file at the lock's path is this lock: `false` when the directory was removed, moved or replaced.
    /// An error of the disk says nothing about that.
    #[must_use]
    pub(crate) fn is_in_place(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(found), Ok(own)) => identity(found) == identity(own),
            (Err(error), _) => {
                !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
            (Ok(_), Err(_)) => true,
        }
    }

    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn wait(file: &mut File, path: &Path) -> Result<(), LockError> {
    let patience = Instant::now() + limits::LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {
                let holder =
                    holder(file).map_err(|error| LockError::Io { path: path.to_owned(), error })?;
                // When a supervisor is killed while it starts a worker, the child has its lock until it executes the
                // worker.
                if is_alive(&holder) || Instant::now() >= patience {
                    return Err(LockError::Held(holder));
                }
                std::thread::sleep(limits::LOCK_RETRY);
            }
            Err(TryLockError::Error(error)) => {
                return Err(LockError::Io { path: path.to_owned(), error });
            }
        }
    }
}

/// The pid in the lock file. No more is read than a pid can have: the file may be anything.
fn holder(file: &mut File) -> io::Result<String> {
    let mut holder = Vec::new();
    file.rewind()?;
    file.take(PID_BYTES).read_to_end(&mut holder)?;
    Ok(match String::from_utf8_lossy(&holder).trim() {
        "" => "unknown",
        known => known,
    }
    .to_owned())
}

/// Longest text of a pid, and a newline.
const PID_BYTES: u64 = 16;

fn is_alive(holder: &str) -> bool {
    let process = holder.parse().ok().and_then(Process::read);
    process.is_some_and(|process| !process.is_dead())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::named(temporary.path()).unwrap();
        (temporary, directory)
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let (temporary, directory) = directory();
        let precious = temporary.path().join("precious");
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, temporary.path().join(NAME)).unwrap();
        let error = Lock::take(&directory).unwrap_err();
        assert!(matches!(error, LockError::NotAFile(_)), "{error}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }

    #[test]
    fn a_fifo_in_the_place_of_the_lock_is_refused_and_not_waited_for() {
        let (temporary, directory) = directory();
        nix::unistd::mkfifo(&temporary.path().join(NAME), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(Lock::take(&directory), Err(LockError::NotAFile(_))));
    }

    #[test]
    fn a_lock_knows_when_its_directory_was_removed_or_replaced() {
        let (temporary, directory) = directory();
        let lock = Lock::take(&directory).unwrap();
        assert!(lock.is_in_place());
        fs::remove_file(lock.path()).unwrap();
        assert!(!lock.is_in_place());
        fs::write(temporary.path().join(NAME), "").unwrap();
        assert!(!lock.is_in_place());
    }
}
