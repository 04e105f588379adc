//! Reading the small text files that settings name. What is read is bounded.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

use crate::config::error::PathError;

/// Whether a file may be one that another user can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The operator has named it.
    Given,
    /// It was found: only its owner may write it, and that is root or the user who runs this. The same holds for the
    /// directories that it can be replaced in.
    Found,
}

/// Permission bits by which a group or everybody may write.
const OTHERS_WRITE: u32 = 0o022;

/// Reads a regular file. Reading any other kind could block for ever.
///
/// # Errors
/// When it is no regular file, is not trusted, is too long, is not UTF-8 or cannot be read.
pub(super) fn read_regular(
    path: &Path,
    bytes_limit: usize,
    trust: Trust,
) -> Result<String, PathError> {
    // Opening a FIFO would wait for its writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(PathError::NotRegular);
    }
    match trust {
        Trust::Given => {}
        Trust::Found => check_trust(path, &metadata)?,
    }
    read_file(file, bytes_limit)
}

/// Reads a file of any kind, such as the pipe of a shell's `<(…)`.
///
/// # Errors
/// When it is a directory, is too long, is not UTF-8 or cannot be read.
pub(super) fn read(path: &Path, bytes_limit: usize) -> Result<String, PathError> {
    read_file(File::open(path)?, bytes_limit)
}

fn read_file(file: File, bytes_limit: usize) -> Result<String, PathError> {
    if file.metadata()?.is_dir() {
        return Err(PathError::Directory);
    }
    let mut bytes = Vec::new();
    file.take(bytes_limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_limit {
        return Err(PathError::TooLong { limit: bytes_limit });
    }
    String::from_utf8(bytes).map_err(|_error| PathError::NotUnicode)
}

/// The file, its directory, and that of the file behind a symbolic link.
fn check_trust(path: &Path, file: &Metadata) -> Result<(), PathError> {
    check_owner(path, file)?;
    let real = fs::canonicalize(path)?;
    for directory in [path.parent(), real.parent()].into_iter().flatten() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        check_owner(directory, &fs::metadata(directory)?)?;
    }
    Ok(())
}

fn check_owner(path: &Path, found: &Metadata) -> Result<(), PathError> {
    let (own, owner) = (geteuid().as_raw(), found.uid());
    let shown = || PathBuf::from(path);
    if owner != own && owner != 0 {
        return Err(PathError::Owner { path: shown(), owner, own });
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(PathError::WritableByOthers { path: shown(), mode: found.mode() & 0o7777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read_given(path: &Path, bytes_limit: usize) -> Result<String, PathError> {
        read_regular(path, bytes_limit, Trust::Given)
    }

    #[test]
    fn a_file_of_the_longest_length_is_read_and_a_longer_one_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "12345678").unwrap();
        assert_eq!(read_given(file.path(), 8).unwrap(), "12345678");
        let error = read_given(file.path(), 7).unwrap_err();
        assert!(matches!(error, PathError::TooLong { limit: 7 }), "{error}");
    }

    #[test]
    fn a_device_without_an_end_is_read_up_to_the_limit() {
        let error = read(Path::new("/dev/zero"), 1024).unwrap_err();
        assert!(matches!(error, PathError::TooLong { limit: 1024 }), "{error}");
        let error = read_given(Path::new("/dev/zero"), 1024).unwrap_err();
        assert!(matches!(error, PathError::NotRegular), "{error}");
    }

    #[test]
    fn a_directory_and_bytes_that_are_no_text_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for error in [read(directory.path(), 8), read_given(directory.path(), 8)] {
            assert!(matches!(error, Err(PathError::Directory)), "{error:?}");
        }
        let file = directory.path().join("bytes");
        fs::write(&file, [0xff]).unwrap();
        assert!(matches!(read(&file, 8), Err(PathError::NotUnicode)));
    }

    #[test]
    fn a_file_that_was_found_is_used_only_if_nobody_else_can_write_or_replace_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        fs::write(&file, "a").unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let found = || read_regular(&file, 8, Trust::Found);
        set(&file, 0o644);
        assert_eq!(found().unwrap(), "a");
        for mode in [0o664, 0o646] {
            set(&file, mode);
            let error = found().unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:o}")) && error.contains("chmod"), "{error}");
            assert_eq!(read_given(&file, 8).unwrap(), "a", "the operator's own business");
        }
        set(&file, 0o644);
        set(directory.path(), 0o777);
        let error = found().unwrap_err().to_string();
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("link.toml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(read_regular(&link, 8, Trust::Found).is_err(), "what is behind a link counts");
    }
}
