//! What the supervisor wants between a task and the rest of the machine. The worker says what of it is in force
//! ([`cc_events::Isolation`]).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a task is to be kept from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WantedIsolation {
    /// Signals, traces and abstract sockets reach none but the task's own processes.
    pub is_scoped: bool,
    /// Writing is allowed below these directories alone.
    pub writable: Option<Vec<PathBuf>>,
    /// Whom it runs as; `None`: as the worker.
    pub user: Option<TaskUser>,
    /// How many of the first arguments are those of the wrapper.
    pub wrapper_words: usize,
    /// What it may use of the machine.
    pub limits: TaskLimits,
}

/// Another user than the supervisor's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskUser {
    /// For people.
    pub name: String,
    /// Of the user.
    pub uid: u32,
    /// Of the user's own group.
    pub gid: u32,
    /// All groups beside that one.
    pub groups: Vec<u32>,
}

/// What a task may use of the machine at most. `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskLimits {
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Hundredths of one CPU.
    pub cpu_percent: Option<u64>,
    /// Descriptors of each process.
    pub open_files: Option<u64>,
}
