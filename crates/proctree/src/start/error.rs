//! Why a main process did not start, in words for the person whose task it was.

use std::{
    ffi::CString,
    io,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use super::child::Step;
use crate::shortage;

/// Why the main process did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An argument or variable has a NUL byte in it.
    #[error("{0} contains a NUL byte")]
    Nul(String),
    /// The program does not exist.
    #[error("program {0:?} was not found{1}")]
    ProgramNotFound(String, &'static str),
    /// The working directory cannot be entered.
    #[error("working directory {path:?}: {error}")]
    Cwd { path: PathBuf, error: io::Error },
    /// Arguments and environment together are over the kernel's limit.
    #[error(
        "the arguments and environment are too long ({bytes} bytes); give long text on standard input \
         or in a file"
    )]
    TooLong {
        /// All strings with their ends.
        bytes: usize,
    },
    /// The program exists and cannot be executed.
    #[error("program {program:?} cannot be executed: {error}")]
    Exec { program: String, error: io::Error },
    /// The machine is out of a resource, or a preparation failed.
    #[error("{step}: {error}")]
    System { step: &'static str, error: io::Error },
}

impl StartError {
    /// Whether the machine is the cause and not the task: it was out of a resource, or a file was being replaced (see
    /// [`shortage`]). The same start may succeed later.
    #[must_use]
    pub fn is_environmental(&self) -> bool {
        match self {
            Self::Cwd { error, .. } | Self::Exec { error, .. } | Self::System { error, .. } => {
                shortage::is_environmental(error)
            }
            Self::Nul(_) | Self::ProgramNotFound(..) | Self::TooLong { .. } => false,
        }
    }

    /// Whether the program, the interpreter in its first line, or the working directory does not exist. One start cannot tell
    /// whether that is the task's mistake or it is being replaced.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::ProgramNotFound(..) => true,
            Self::Cwd { error, .. } => error.kind() == io::ErrorKind::NotFound,
            Self::Nul(_) | Self::TooLong { .. } | Self::Exec { .. } | Self::System { .. } => false,
        }
    }
}

/// A preparation that failed in the parent.
pub(super) fn system(step: &'static str) -> impl Fn(Errno) -> StartError {
    move |errno| StartError::System { step, error: errno.into() }
}

/// What a failure that the child reports means to the task.
pub(super) fn explain(
    step: Step,
    errno: Errno,
    program: &str,
    cwd: Option<&Path>,
    argv: &[CString],
    env: &[CString],
) -> StartError {
    match (step, errno) {
        (Step::Exec, Errno::ENOENT) if program.contains('/') => StartError::ProgramNotFound(
            program.to_owned(),
            if Path::new(program).exists() {
                " (the interpreter in its first line is missing)"
            } else {
                ""
            },
        ),
        (Step::Exec, Errno::ENOENT) => {
            StartError::ProgramNotFound(program.to_owned(), " in the PATH of the task")
        }
        (Step::Exec, Errno::E2BIG) => StartError::TooLong {
            bytes: argv.iter().chain(env).map(|text| text.as_bytes_with_nul().len()).sum(),
        },
        (Step::Exec, errno) => {
            StartError::Exec { program: program.to_owned(), error: errno.into() }
        }
        (Step::Cwd, errno) => StartError::Cwd {
            path: cwd.map(Path::to_owned).unwrap_or_default(),
            error: errno.into(),
        },
        (
            Step::Session
            | Step::JoinCgroup
            | Step::Limits
            | Step::User
            | Step::ParentDeath
            | Step::Descriptors
            | Step::Signals
            | Step::NoNewPrivileges
            | Step::Landlock
            | Step::Seccomp,
            errno,
        ) => StartError::System { step: step.name(), error: errno.into() },
    }
}

/// For a program without a name, or a `PATH` without a directory.
pub(super) fn not_found(argv: &[String], env: &[(String, String)]) -> StartError {
    let has_path = env.iter().any(|(name, _)| name == "PATH");
    let hint = if has_path { " in the PATH of the task" } else { "" };
    StartError::ProgramNotFound(argv.first().cloned().unwrap_or_default(), hint)
}

#[cfg(test)]
mod tests;
