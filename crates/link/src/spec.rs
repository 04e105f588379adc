//! The task spec: everything that a worker must know to run one task.
//!
//! A spec holds no defaults and no policy: the supervisor has decided everything.

use std::path::PathBuf;

use cc_events::ClaudeStream;
use serde::{Deserialize, Serialize};

use crate::{isolation::WantedIsolation, key::Key};

/// One task, ready to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// [`crate::LINK_VERSION`] of the sender.
    pub link_version: u32,
    /// The task's id (a uuid in text form); also the value of [`MARKER_VARIABLE`].
    pub task_id: String,
    /// Program and arguments. The program is looked up in the `PATH` of `env` unless it has a slash.
    pub argv: Vec<String>,
    /// Working directory; the worker's own where there is none.
    pub cwd: Option<PathBuf>,
    /// The directory is limited: the task must not run in another one that a symbolic link has put in its place since
    /// the supervisor looked.
    #[serde(default)]
    pub is_cwd_resolved: bool,
    /// The whole environment of the task, in order; nothing else is passed on.
    pub env: Vec<(String, String)>,
    /// What the task reads on standard input.
    pub stdin: Stdin,
    /// File mode creation mask (octal 022 by default).
    pub umask: u32,
    /// Set `PR_SET_NO_NEW_PRIVS`: a setuid child could not be killed by an unprivileged worker.
    pub no_new_privs: bool,
    /// What it is to be kept from, and its limits.
    #[serde(default)]
    pub isolation: WantedIsolation,
    /// What a supervisor must show to adopt the worker; `None`: nothing.
    #[serde(default)]
    pub adoption_key: Option<Key>,
    /// What the task may print.
    pub bounds: Bounds,
    /// How long the task may take.
    pub deadlines: Deadlines,
    /// Where the worker creates the task log. The directory exists.
    pub log_path: PathBuf,
    /// Where to make the task's cgroup leaf; without one the subreaper alone contains the task.
    pub cgroup: Option<CgroupParent>,
    /// Whether the output is a Claude Code stream.
    pub claude: ClaudeStream,
    /// What to do when the supervisor is gone.
    pub on_supervisor_loss: OnSupervisorLoss,
    /// Whether appending to the log waits for the disk.
    #[serde(default)]
    pub fsync: Fsync,
}

/// Name of the environment variable that every process of a task inherits, with the task's id as its
/// value: the last resort for finding leftovers whose worker is gone.
pub const MARKER_VARIABLE: &str = "CC_EXECUTOR_TASK_ID";

/// Name of the environment variable with the soft limit of open files for a worker and its task. A supervisor that has
/// raised its own limit sets it.
pub const OPEN_FILES_VARIABLE: &str = "CC_EXECUTOR_OPEN_FILES";

/// Name of the environment variable that leaves a worker open to debuggers and lets it dump core.
pub const CORE_DUMPS_VARIABLE: &str = "CC_EXECUTOR_CORE_DUMPS";

/// What the task reads on standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// `/dev/null`: reads end at once.
    Null,
    /// This text, from a sealed memory file, then the end.
    Text(String),
}

/// Bounds of a task's output. Bytes are counted as the task wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Longest line without its newline; the rest of a longer one is skipped.
    pub line_bytes_limit: u64,
    /// Most output of both streams together; the middle of more is dropped.
    pub output_bytes_limit: u64,
    /// What happens at `output_bytes_limit`.
    pub on_output_limit: OnOutputLimit,
}

/// What happens when a task prints more than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOutputLimit {
    /// Keep the head and the tail; count and announce the middle.
    DropMiddle,
    /// End the task with the reason `output_limit`.
    Kill,
}

/// The clocks of a task, in milliseconds. Paused time counts for none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From the start to the end.
    pub total_ms: Option<u64>,
    /// Without a byte of output.
    pub silence_ms: Option<u64>,
    /// From the start to the first byte of output, where that is shorter than `silence_ms`.
    pub first_output_ms: Option<u64>,
    /// From a Claude task's result line to the exit of its main process.
    pub linger_ms: u64,
    /// From the polite signal to SIGKILL, whenever the worker ends the task.
    pub grace_ms: u64,
}

/// The cgroup v2 directory below which the worker makes its task's leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupParent {
    /// An existing, writable cgroup v2 directory.
    pub path: PathBuf,
    /// `CLONE_INTO_CGROUP` was probed and works here; otherwise the task joins by `cgroup.procs`.
    pub clone_into: bool,
}

/// Whether records are on the disk before a client sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// They survive the death of every process; a power failure can cost the last ones.
    #[default]
    Never,
    /// They survive a power failure, at the cost of an fdatasync(2) for each group of them.
    Always,
}

/// What a worker does when its supervisor is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSupervisorLoss {
    /// End the task at once.
    Kill,
    /// Run the task to its end; the log holds everything.
    Keep,
}
