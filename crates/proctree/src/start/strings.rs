//! The strings of an execve(2): which programs to try, and arguments and environment as C has them.

use std::ffi::{CStr, CString};

use super::error::StartError;

/// Looked through for a program without a slash when the environment has no `PATH` (execvp(3)).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The paths to try, in order. A program with a slash is tried as it is (execvp(3)).
pub(super) fn candidates(argv: &[String], env: &[(String, String)]) -> Vec<CString> {
    let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
        return Vec::new();
    };
    if program.contains('/') {
        return CString::new(program.as_bytes()).into_iter().collect();
    }
    let path =
        env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
    path.split(':')
        // An empty element would mean the working directory: a program there is asked for as ./program.
        .filter(|directory| !directory.is_empty())
        .filter_map(|directory| CString::new(format!("{directory}/{program}")).ok())
        .collect()
}

/// NUL-terminated copies. `what` they are is named in the error, with the beginning of the text that has a NUL byte in it.
pub(super) fn c_strings(
    what: &str,
    texts: impl Iterator<Item = Vec<u8>>,
) -> Result<Vec<CString>, StartError> {
    texts
        .map(|text| {
            CString::new(text).map_err(|error| {
                let text = error.into_vec();
                let start: String = String::from_utf8_lossy(&text).chars().take(40).collect();
                StartError::Nul(format!("{what} {start:?}"))
            })
        })
        .collect()
}

/// A NULL-terminated array of pointers, valid as long as `strings` is.
pub(super) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| CStr::as_ptr(text)).chain(std::iter::once(std::ptr::null())).collect()
}
