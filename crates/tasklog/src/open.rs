//! Opens a log that is there already. A task can reach the directory of its log: what it puts in the log's place must
//! neither be followed to another file nor block who opens it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

/// Opens a regular file, and nothing else: no symbolic link, and no FIFO, which would block.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for anything that is no regular file; otherwise what the system says.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = options.clone().custom_flags(flags).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        // A link, and a FIFO without a reader.
        Some(Errno::LOOP | Errno::NXIO) => no_file(),
        Some(_) | None => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

/// Opens a regular file for reading, and nothing else: no symbolic link, and no FIFO, which would block.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for anything that is no regular file; otherwise what the system says.
pub fn for_reading(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

fn no_file() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is a symbolic link or no regular file, which this program never makes: move it away",
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_link_a_fifo_and_a_directory_are_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "content").unwrap();
        assert!(for_reading(&file).is_ok());
        let (link, fifo) = (directory.path().join("link"), directory.path().join("fifo"));
        symlink(&file, &link).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for path in [link.as_path(), &fifo, directory.path()] {
            let error = for_reading(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}: {error}");
        }
        let appending = open(&fifo, OpenOptions::new().append(true)).unwrap_err();
        assert_eq!(appending.kind(), io::ErrorKind::InvalidInput);
        // What the system says about the rest is as it was.
        assert_eq!(
            for_reading(&directory.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
