//! What is wrong with a configuration, named by the argument or variable that it came from.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

/// Why the supervisor does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value cannot be used.
    #[error("{origin} is {value:?}: {problem}")]
    Value {
        /// The argument or variable.
        origin: String,
        /// As it came.
        value: String,
        /// What it must be.
        problem: String,
    },
    /// Beyond loopback without what that takes.
    #[error(
        "{0} is not a loopback address: everyone who reaches it could run commands; \
         give a token (--token-file) and --insecure-remote, or listen on 127.0.0.1"
    )]
    Remote(SocketAddr),
    /// There is no place for state.
    #[error("no state directory: set HOME, or give --state-dir")]
    NoStateDir,
    /// The worker program is nowhere.
    #[error("cc-worker is neither beside this program nor on the PATH: give --worker")]
    NoWorker,
    /// The default working directory cannot be used.
    #[error("{origin}: {path}: {error}")]
    Path {
        /// The argument.
        origin: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

/// Reads an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;
