//! Reading the small text files that settings name. What is read is bounded.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use crate::config::error::PathError;

/// Reads a regular file. Opening or reading any other kind could block for ever.
///
/// # Errors
/// When it is no regular file, is too long, is not UTF-8 or cannot be read.
pub(super) fn read_regular(path: &Path, bytes_limit: usize) -> Result<String, PathError> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(PathError::NotRegular);
    }
    read(path, bytes_limit)
}

/// Reads a file of any kind, such as the pipe of a shell's `<(…)`.
///
/// # Errors
/// When it is a directory, is too long, is not UTF-8 or cannot be read.
pub(super) fn read(path: &Path, bytes_limit: usize) -> Result<String, PathError> {
    let file = File::open(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_longest_length_is_read_and_a_longer_one_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "12345678").unwrap();
        assert_eq!(read_regular(file.path(), 8).unwrap(), "12345678");
        let error = read_regular(file.path(), 7).unwrap_err();
        assert!(matches!(error, PathError::TooLong { limit: 7 }), "{error}");
    }

    #[test]
    fn a_device_without_an_end_is_read_up_to_the_limit() {
        let error = read(Path::new("/dev/zero"), 1024).unwrap_err();
        assert!(matches!(error, PathError::TooLong { limit: 1024 }), "{error}");
        let error = read_regular(Path::new("/dev/zero"), 1024).unwrap_err();
        assert!(matches!(error, PathError::NotRegular), "{error}");
    }

    #[test]
    fn a_directory_and_bytes_that_are_no_text_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for error in [read(directory.path(), 8), read_regular(directory.path(), 8)] {
            assert!(matches!(error, Err(PathError::Directory)), "{error:?}");
        }
        let file = directory.path().join("bytes");
        fs::write(&file, [0xff]).unwrap();
        assert!(matches!(read(&file, 8), Err(PathError::NotUnicode)));
    }
}
