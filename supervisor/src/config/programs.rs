//! Whether a program is there and can be executed.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// Whether this file can be executed.
#[must_use]
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// The file of a program: by its path, or found in the directories of `search`, which is written as the PATH.
#[must_use]
pub(crate) fn find(program: &str, search: &OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    std::env::split_paths(search)
        .map(|directory| directory.join(program))
        .find(|path| is_program(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_path_and_by_its_name() {
        let path = OsStr::new("/nowhere:/bin");
        let is_found = |program| find(program, path).is_some();
        assert!(is_found("/bin/sh") && is_found("sh"));
        assert!(!is_found("/bin/no-such-program") && !is_found("no-such-program"));
        assert!(!is_found("/etc/passwd") && !is_found("/bin"));
    }
}
