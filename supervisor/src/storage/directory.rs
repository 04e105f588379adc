//! A directory of the state directory: owned by this user, writable by no other, and held open.
//!
//! What is made in it is made by its descriptor. If the directory is removed and another supervisor makes a new one at the
//! same path, nothing of this supervisor is written there.

use std::{
    fs::{DirBuilder, File},
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags, fchmod, fstat, mkdirat, open},
    io::Errno,
    process::geteuid,
};

use crate::ops::repeated::Repeated;

/// What the owner may do, and nobody else anything.
const OWNER_ONLY: u32 = 0o700;
/// Of a directory's mode: the group or others may write to it.
const OTHERS_WRITE: u32 = 0o022;

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error(
        "{path} belongs to the user with uid {owner}, who can replace what is in it, and this supervisor runs as uid \
         {uid}: run `chown {uid} {path}` if it is meant for this supervisor, or give another --state-dir"
    )]
    Foreign { path: PathBuf, owner: u32, uid: u32 },
    #[error(
        "other users may write to {path} (its mode is {mode:03o}) and can have replaced what is in it: look at what is \
         there, then run `chmod 700 {path}`, or give another --state-dir (a new directory below this one will do)"
    )]
    Shared { path: PathBuf, mode: u32 },
    #[error(
        "{path} is a symbolic link or no directory: move it away (to have it on another disk, mount that there)"
    )]
    NotADirectory { path: PathBuf },
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// A directory that is held open. Clones share the descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    descriptor: Arc<OwnedFd>,
}

impl Directory {
    /// Makes a directory and its parents where they are missing, and opens it. Its path may have symbolic links: an
    /// operator has named it.
    ///
    /// # Errors
    /// When that fails, or when another user owns it or may write to it.
    pub(crate) fn named(path: &Path) -> Result<Self, DirectoryError> {
        let made = DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(path);
        made.map_err(|error| DirectoryError::Io { path: path.to_owned(), error })?;
        Self::checked(path, OFlags::empty())
    }

    /// Makes a directory in this one where it is missing, and opens it.
    ///
    /// # Errors
    /// As [`Self::named`]; also when it is a symbolic link.
    pub(crate) fn inner(&self, name: &str) -> Result<Self, DirectoryError> {
        let path = self.path.join(name);
        match self.make(name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DirectoryError::Io { path, error }),
        }
        Self::checked(&path, OFlags::NOFOLLOW)
    }

    fn checked(path: &Path, flags: OFlags) -> Result<Self, DirectoryError> {
        let at = |error: io::Error| DirectoryError::Io { path: path.to_owned(), error };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | flags;
        let descriptor = open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => DirectoryError::NotADirectory { path: path.to_owned() },
            other => at(other.into()),
        })?;
        let file = File::from(descriptor);
        let metadata = file.metadata().map_err(at)?;
        let (owner, uid, mode) = (metadata.uid(), geteuid().as_raw(), metadata.mode() & 0o777);
        if owner != uid {
            return Err(DirectoryError::Foreign { path: path.to_owned(), owner, uid });
        }
        if mode & OTHERS_WRITE != 0 {
            return Err(DirectoryError::Shared { path: path.to_owned(), mode });
        }
        let directory = Self { path: path.to_owned(), descriptor: Arc::new(file.into()) };
        directory.keep_mode().map_err(at)?;
        Ok(directory)
    }

    /// Gives it its mode back, where it has another one. A task has this user, and no kernel keeps it from changing a mode.
    ///
    /// # Errors
    /// When another user owns it by now, or the system refuses.
    pub(crate) fn keep_mode(&self) -> io::Result<()> {
        let mode = fstat(&self.descriptor)?.st_mode & 0o777;
        if mode != OWNER_ONLY {
            fchmod(&self.descriptor, Mode::from_raw_mode(OWNER_ONLY))?;
            let (path, was) = (self.path.display().to_string(), format!("{mode:03o}"));
            static LINES: Repeated = Repeated::new("modes of directories were given back");
            LINES.log(|| {
                tracing::warn!(
                    path,
                    was,
                    "this directory was not private to its owner: its mode is 700 now"
                );
            });
        }
        Ok(())
    }

    /// Where it was when it was opened.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// To use what is in it, wherever it is now.
    #[must_use]
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Makes a directory in it for this user alone. Blocks on the disk.
    ///
    /// # Errors
    /// When that fails: a full disk, a missing permission; [`io::ErrorKind::NotFound`] when this directory was removed.
    pub(crate) fn make(&self, name: &str) -> io::Result<()> {
        match mkdirat(&self.descriptor, name, Mode::RWXU) {
            // Its mode may have been changed a moment ago.
            Err(Errno::ACCESS) if self.keep_mode().is_ok() => {
                Ok(mkdirat(&self.descriptor, name, Mode::RWXU)?)
            }
            made => Ok(made?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone_and_what_others_can_read_becomes_so() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("deep").join("state");
        let directory = Directory::named(&path).unwrap();
        let inner = directory.inner("tasks").unwrap();
        inner.make("id").unwrap();
        for made in [path.as_path(), inner.path(), &inner.path().join("id")] {
            assert_eq!(mode(made), 0o700);
            with_mode(made, 0o755);
        }
        Directory::named(&path).unwrap().inner("tasks").unwrap();
        assert_eq!((mode(&path), mode(inner.path())), (0o700, 0o700));
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_with_what_to_do() {
        let temporary = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o702, 0o777] {
            with_mode(temporary.path(), mode);
            let error = Directory::named(temporary.path()).unwrap_err().to_string();
            assert!(error.contains("chmod 700"), "{error}");
            assert!(error.contains(&format!("{mode:o}")), "{error}");
        }
        with_mode(temporary.path(), 0o700);
        let directory = Directory::named(temporary.path()).unwrap();
        directory.make("tasks").unwrap();
        with_mode(&temporary.path().join("tasks"), 0o777);
        assert!(matches!(directory.inner("tasks"), Err(DirectoryError::Shared { .. })));
    }

    #[test]
    fn a_link_in_the_place_of_an_inner_directory_is_refused_and_one_that_was_named_is_followed() {
        let temporary = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), temporary.path().join("tasks")).unwrap();
        let directory = Directory::named(temporary.path()).unwrap();
        let refused = directory.inner("tasks");
        assert!(matches!(refused, Err(DirectoryError::NotADirectory { .. })), "{refused:?}");
        assert!(Directory::named(&temporary.path().join("tasks")).is_ok());
    }

    #[test]
    fn nothing_is_made_in_a_new_directory_at_the_path_of_one_that_was_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        let directory = Directory::named(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(directory.make("id").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.join("id").exists());
    }
}
