//! What a task sees of itself: `ccx` run as a task, which prints one line of JSON and ends.
//!
//! Names of variables are printed, never their values.

use std::{env, io::Write as _};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{RLIM_INFINITY, Resource, getrlimit},
};
use serde::{Deserialize, Serialize};

/// Variables that decide which login the CLI uses, which address it asks, and what it takes itself for.
pub(crate) const LOGIN_VARIABLES: [&str; 10] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CONFIG_DIR",
    "CLAUDECODE",
    "IS_SANDBOX",
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Those of [`LOGIN_VARIABLES`] that are set and not empty.
    pub(crate) variables: Vec<String>,
    /// Capacity of the pipe behind its standard output; `None` where it is unknown.
    pub(crate) pipe_bytes: Option<u64>,
    /// Soft limit for open files.
    pub(crate) open_files: u64,
    /// Hard limit for open files.
    pub(crate) most_open_files: u64,
    /// Processes that this user may have; `None` for any number.
    pub(crate) most_processes: Option<u64>,
}

impl Probe {
    fn of_this_process() -> Self {
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let names = LOGIN_VARIABLES.iter().filter(|name| is_set(name));
        let pipe = fcntl(std::io::stdout(), FcntlArg::F_GETPIPE_SZ).ok();
        let (open_files, most_open_files) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
        Self {
            variables: names.map(|name| (*name).to_owned()).collect(),
            pipe_bytes: pipe.and_then(|bytes| u64::try_from(bytes).ok()),
            open_files,
            most_open_files,
            most_processes: getrlimit(Resource::RLIMIT_NPROC)
                .ok()
                .map(|(soft, _)| soft)
                .filter(|soft| *soft != RLIM_INFINITY),
        }
    }

    /// Whether a task has this variable.
    pub(crate) fn has(&self, variable: &str) -> bool {
        self.variables.iter().any(|name| name == variable)
    }
}

/// The task's part: prints the probe.
pub(crate) fn run() -> u8 {
    let text = serde_json::to_string(&Probe::of_this_process()).unwrap_or_default();
    u8::from(writeln!(std::io::stdout(), "{text}").is_err())
}
