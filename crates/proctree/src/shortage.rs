//! Which errors of the system are the machine's and not the caller's: it was out of a resource, or a file was being
//! replaced. The same attempt may succeed a little later.

use std::{io, path::PathBuf};

use nix::errno::Errno;

/// An error of the system with the path that it is about. [`is_environmental`] judges an [`io::Error`] made of it by its
/// source.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct AtPath {
    /// Of the file or directory.
    pub path: PathBuf,
    pub source: io::Error,
}

/// Whether this error is the machine's: no process, memory, descriptor or room was to be had, a program was being
/// written, a disk or a network file system failed.
#[must_use]
pub fn is_environmental(error: &io::Error) -> bool {
    // An error that was wrapped may have kept its source; else it has its kind, and no number.
    let origin = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>());
    let is_of_kind = matches!(
        error.kind(),
        io::ErrorKind::OutOfMemory
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ExecutableFileBusy
            | io::ErrorKind::StaleNetworkFileHandle
    );
    is_of_kind
        || origin.is_some_and(is_environmental)
        || error.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
            matches!(
                errno,
                Errno::EAGAIN
                    | Errno::ENOMEM
                    | Errno::EMFILE
                    | Errno::ENFILE
                    | Errno::ENOSPC
                    | Errno::EDQUOT
                    | Errno::ETXTBSY
                    | Errno::EIO
                    | Errno::ESTALE
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_something_is_the_machines_and_a_missing_file_or_permission_is_not() {
        for errno in [Errno::EAGAIN, Errno::EMFILE, Errno::ENOSPC, Errno::ETXTBSY, Errno::ESTALE] {
            assert!(is_environmental(&errno.into()), "{errno}");
        }
        for errno in [Errno::ENOENT, Errno::EACCES, Errno::ENOEXEC, Errno::E2BIG] {
            assert!(!is_environmental(&errno.into()), "{errno}");
        }
        assert!(!is_environmental(&io::Error::other("no error of the system")));
        let with_path = |errno: Errno| {
            let source = io::Error::from(errno);
            io::Error::new(source.kind(), AtPath { path: "a log".into(), source })
        };
        assert!(is_environmental(&with_path(Errno::EMFILE)));
        assert!(!is_environmental(&with_path(Errno::EACCES)));
        assert!(is_environmental(&io::Error::new(io::ErrorKind::StorageFull, "a log: no space")));
    }
}
