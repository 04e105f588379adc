//! The file of a Unix socket that is listened on.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
};

/// The file, and which one it is: another supervisor may have put its own in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Listens at this path. What nobody listens on any more is replaced. Only this user can connect.
    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        check_free(path)?;
        // Under another name until its mode is right. It then replaces what is there in one step.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", process::id()));
        let early = PathBuf::from(name);
        let listener = UnixListener::bind(&early)?;
        let bound = fs::set_permissions(&early, Permissions::from_mode(0o600))
            .and_then(|()| fs::metadata(&early))
            .and_then(|metadata| fs::rename(&early, path).map(|()| metadata.ino()));
        match bound {
            Ok(inode) => Ok((listener, Self { path: path.to_owned(), inode })),
            Err(error) => {
                drop(fs::remove_file(&early));
                Err(error)
            }
        }
    }

    pub(super) fn remove(self) {
        let is_ours = |metadata: fs::Metadata| metadata.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the socket's file stays");
        }
    }
}

/// # Errors
/// When somebody listens there, or the path is something else.
fn check_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is something that is no socket",
        )),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced_and_no_other_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cc.sock");
        let (listener, first) = SocketFile::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let taken = SocketFile::bind(&path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (_listener, second) = SocketFile::bind(&path).unwrap();
        first.remove();
        assert!(path.exists(), "it is another one's now");
        second.remove();
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(SocketFile::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
