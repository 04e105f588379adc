//! The directories of a cgroup hierarchy.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Removes a cgroup directory depth first; the kernel refuses those that have members.
pub(super) fn remove_tree(path: &Path) {
    for child in child_directories(path) {
        remove_tree(&child);
    }
    // A refusal means that it still has members; what kills them tries again.
    drop(fs::remove_dir(path));
}

pub(super) fn child_directories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
