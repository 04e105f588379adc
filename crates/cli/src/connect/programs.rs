//! Finding programs: the ones that belong to `ccx`, and others on the `PATH`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::error::CommandError;

/// Finds `cc-supervisor` or `cc-worker`: beside this program, else on the `PATH`.
pub(crate) fn find_companion(name: &str) -> Result<PathBuf, CommandError> {
    // The path as typed comes first: it may be a symbolic link in the folder of its companions.
    let typed = env::args_os().next().map(PathBuf::from).filter(|path| is_path(path));
    [typed, env::current_exe().ok()]
        .into_iter()
        .flatten()
        .filter_map(|path| path.parent().map(|folder| folder.join(name)))
        .find(|candidate| is_executable(candidate))
        .and_then(|candidate| std::path::absolute(candidate).ok())
        .or_else(|| find_on_path(name))
        .ok_or_else(|| {
            CommandError::failed(format!(
                "{name} is neither beside ccx nor on the PATH; build the whole workspace: cargo build --release"
            ))
        })
}

/// Finds a program like a shell: a path as it is, a bare name on the `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = Path::new(program);
    if is_path(path) { is_executable(path).then(|| path.to_owned()) } else { find_on_path(program) }
}

fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_path(path: &Path) -> bool {
    path.components().count() > 1
}

fn is_executable(path: &Path) -> bool {
    const ANY_EXECUTE_BIT: u32 = 0o111;
    fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & ANY_EXECUTE_BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_up_and_a_path_is_not() {
        assert!(find("sh").unwrap().is_absolute());
        assert_eq!(find("/bin/sh"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find("no-such-program-anywhere"), None);
        assert_eq!(find("/etc/passwd"), None, "a file without an execute bit is no program");
        assert_eq!(find("/"), None, "a folder is no program");
    }
}
