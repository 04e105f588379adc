//! What a task is kept from, and which limits it has: what is in force, not what was asked for.

use serde::{Deserialize, Serialize};

/// What stands between a task and the rest of the machine, beside what its user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Signals, traces and abstract sockets reach none but the task's own processes (Landlock).
    #[serde(default)]
    pub scoped: bool,
    /// The limits (prlimit(2)) of no process but its own can be changed (seccomp).
    #[serde(default)]
    pub filtered: bool,
    /// The directories below which the task can write (Landlock); `None`: wherever its user can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable: Option<Vec<String>>,
    /// Whom it runs as, where that is not the supervisor's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The program that starts the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<String>,
    /// What the task may use of the machine.
    #[serde(default, skip_serializing_if = "LimitsInForce::is_empty")]
    pub limits: LimitsInForce,
}

impl Isolation {
    /// Whether nothing is in force.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The limits of a task that are in force. One that was asked for and cannot be had is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsInForce {
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<LimitInForce>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<LimitInForce>,
    /// Hundredths of one CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<LimitInForce>,
    /// Descriptors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<LimitInForce>,
}

impl LimitsInForce {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit, and what it is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitInForce {
    /// The value.
    pub limit: u64,
    /// What is counted.
    pub per: LimitedUnit,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedUnit {
    /// The whole task (its cgroup).
    Task,
    /// Each process of the task (setrlimit(2)).
    Process,
    /// All processes of the task's user (setrlimit(2)).
    User,
}
