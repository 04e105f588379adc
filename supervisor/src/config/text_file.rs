//! Reading the small text files that settings name. What is read is bounded.

use std::{
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

use crate::config::error::PathError;

/// Permission bits by which a group or everybody may write.
const OTHERS_WRITE: u32 = 0o022;
/// Permission bits of a group and everybody.
const OTHERS: u32 = 0o077;

/// Reads a regular file that the operator has named. Opening or reading any other kind could block for ever.
///
/// # Errors
/// When it is no regular file, is too long, is not UTF-8 or cannot be read.
pub(super) fn read_regular(path: &Path, bytes_limit: usize) -> Result<String, PathError> {
    let (file, _) = open_regular(path)?;
    read(file, bytes_limit)
}

/// Reads a regular file that nobody has named: only its owner may write it, and that is root or the user who runs this.
/// The same holds for the directories in which it could be replaced.
///
/// # Errors
/// As [`read_regular`], and when others could change it.
pub(super) fn read_trusted(path: &Path, bytes_limit: usize) -> Result<String, PathError> {
    let (file, metadata) = open_regular(path)?;
    check_writers(path, &metadata)?;
    let real = fs::canonicalize(path)?;
    for directory in [path.parent(), real.parent()].into_iter().flatten() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        check_writers(directory, &fs::metadata(directory)?)?;
    }
    read(file, bytes_limit)
}

/// Reads a regular file with a secret, which nobody else may be able to read or to replace. A `is_credential` is a file
/// that the service manager has made: its group bits may show an access control list.
///
/// # Errors
/// As [`read_regular`], and when others could read it.
pub(super) fn read_private(
    path: &Path,
    bytes_limit: usize,
    is_credential: bool,
) -> Result<String, PathError> {
    let (file, metadata) = open_regular(path)?;
    let owner = metadata.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(PathError::ForeignOwner { uid: owner });
    }
    let mode = metadata.mode() & 0o7777;
    if !is_credential && mode & OTHERS != 0 {
        return Err(PathError::NotPrivate { mode });
    }
    read(file, bytes_limit)
}

/// Looks at the file that is open, not at the path: that may be another file by then.
fn open_regular(path: &Path) -> Result<(File, Metadata), PathError> {
    // A pipe without a writer blocks an open that may block.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(PathError::Directory);
    }
    if !metadata.is_file() {
        return Err(PathError::NotRegular);
    }
    Ok((file, metadata))
}

fn read(file: File, bytes_limit: usize) -> Result<String, PathError> {
    let mut bytes = Vec::new();
    file.take(bytes_limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_limit {
        return Err(PathError::TooLong { limit: bytes_limit });
    }
    String::from_utf8(bytes).map_err(|_error| PathError::NotUnicode)
}

fn check_writers(path: &Path, found: &Metadata) -> Result<(), PathError> {
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

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_of_the_longest_length_is_read_and_a_longer_one_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "12345678").unwrap();
        assert_eq!(read_regular(file.path(), 8).unwrap(), "12345678");
        let error = read_regular(file.path(), 7).unwrap_err();
        assert!(matches!(error, PathError::TooLong { limit: 7 }), "{error}");
    }

    #[test]
    fn a_device_or_a_pipe_without_a_writer_is_refused_and_blocks_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for path in [Path::new("/dev/zero"), &pipe] {
            for error in
                [read_regular(path, 8), read_trusted(path, 8), read_private(path, 8, false)]
            {
                assert!(matches!(error, Err(PathError::NotRegular)), "{error:?}");
            }
        }
    }

    #[test]
    fn a_directory_and_bytes_that_are_no_text_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for error in [read_regular(directory.path(), 8), read_private(directory.path(), 8, false)] {
            assert!(matches!(error, Err(PathError::Directory)), "{error:?}");
        }
        let file = directory.path().join("bytes");
        fs::write(&file, [0xff]).unwrap();
        assert!(matches!(read_regular(&file, 8), Err(PathError::NotUnicode)));
    }

    #[test]
    fn a_secret_that_others_could_read_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret").unwrap();
        for (mode, is_read) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            set_mode(file.path(), mode);
            assert_eq!(read_private(file.path(), 8, false).is_ok(), is_read, "{mode:o}");
            assert!(read_private(file.path(), 8, true).is_ok(), "a credential may have a list");
        }
    }

    #[test]
    fn a_file_that_was_found_is_used_only_if_nobody_else_can_write_or_replace_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        fs::write(&file, "a").unwrap();
        set_mode(&file, 0o644);
        assert_eq!(read_trusted(&file, 8).unwrap(), "a");
        for mode in [0o664, 0o646] {
            set_mode(&file, mode);
            let error = read_trusted(&file, 8).unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:o}")) && error.contains("chmod"), "{error}");
            assert_eq!(read_regular(&file, 8).unwrap(), "a", "the operator's own business");
        }
        set_mode(&file, 0o644);
        set_mode(directory.path(), 0o777);
        let error = read_trusted(&file, 8).unwrap_err().to_string();
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link.toml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(read_trusted(&link, 8).is_err(), "what is behind a link counts");
    }
}
