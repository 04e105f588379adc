//! Why cgroups cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No cgroup v2 is mounted, or this process is not in it.
    #[error("no cgroup v2 hierarchy is mounted")]
    NotMounted,
    /// Not a cgroup v2 directory.
    #[error("{0} is not a directory of a cgroup v2 hierarchy")]
    NotCgroup2(PathBuf),
    /// The kernel is older than 5.14.
    #[error("{0} has no cgroup.kill: the kernel is older than 5.14")]
    NoKill(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

impl CgroupError {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}
