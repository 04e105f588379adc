//! The end of a task: why it ended, what the end means, and what the task used.

use serde::{Deserialize, Serialize};

use crate::{claude::ClaudeFacts, output::OutputCounts, warning::Warning};

/// How and why a task ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// Of the main process; 0 if it never ran.
    pub pid: i32,
    /// What ended the task.
    pub reason: EndReason,
    /// What the end means.
    pub verdict: Verdict,
    /// 0 only for a task that ended by itself and well; death by signal N is -N.
    pub exit_code: i32,
    /// The signal that the main process died of.
    pub signal: Option<i32>,
    /// What went wrong, for people: it names the limit and what to do. `None` only for a task that ended by itself.
    pub error: Option<String>,
    /// From the start to the proof that the tree is gone.
    pub duration_ms: u64,
    /// User and system time of everything that was reaped.
    pub cpu_ms: u64,
    /// Largest resident set of any one process.
    pub max_rss_bytes: u64,
    /// How much it printed.
    pub output: OutputCounts,
    /// Processes that outlived the main one and were killed.
    pub killed_leftovers: u64,
    /// Processes that could not be killed within the bound (in uninterruptible sleep): normally 0.
    pub unkillable: u64,
    /// What a person should know beside the verdict; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What a Claude task's stream says of itself; none where there was no stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claude: Option<Box<ClaudeFacts>>,
    /// For a task that could not be started: what was missing, where a later start may find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawn_failure: Option<SpawnFailureKind>,
}

/// What ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The main process exited.
    Exit,
    /// The main process died of a signal that was not ours.
    Signal,
    /// A client canceled it.
    Canceled,
    /// Its total deadline passed.
    Timeout,
    /// Its silence deadline passed, or there was no first output in time.
    IdleTimeout,
    /// A Claude task printed its result and did not exit.
    Lingered,
    /// It printed too much, where the policy is to kill.
    OutputLimit,
    /// The task could not be started.
    SpawnFailed,
    /// The worker was killed, crashed or stopped answering.
    WorkerDied,
    /// The supervisor went away or is being stopped.
    SupervisorLost,
    /// A resource that the worker needs is exhausted: the disk for its log, memory, descriptors.
    ResourceLimit,
    /// The client went away.
    Disconnected,
    /// An operator restarted its worker.
    WorkerRestarted,
}

impl EndReason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 13] = [
        Self::Exit,
        Self::Signal,
        Self::Canceled,
        Self::Timeout,
        Self::IdleTimeout,
        Self::Lingered,
        Self::OutputLimit,
        Self::SpawnFailed,
        Self::WorkerDied,
        Self::SupervisorLost,
        Self::ResourceLimit,
        Self::Disconnected,
        Self::WorkerRestarted,
    ];

    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Lingered => "lingered",
            Self::OutputLimit => "output_limit",
            Self::SpawnFailed => "spawn_failed",
            Self::WorkerDied => "worker_died",
            Self::SupervisorLost => "supervisor_lost",
            Self::ResourceLimit => "resource_limit",
            Self::Disconnected => "disconnected",
            Self::WorkerRestarted => "worker_restarted",
        }
    }
}

/// What a task's end means to the person who wanted it done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Exit code 0, and for a Claude task a result that is no error.
    Succeeded,
    /// It ran and did not succeed.
    Failed,
    /// A Claude task ended without a result line.
    NoResult,
    /// The API refused the credentials, or there are none.
    Auth,
    /// The API refused because of a rate or usage limit.
    RateLimited,
    /// A deadline passed.
    TimedOut,
    /// It was ended on request: by the client, by its disconnect, or by the supervisor's stop.
    Canceled,
    /// It printed too much, where the policy is to kill.
    OutputLimit,
    /// It could not be started.
    SpawnFailed,
    /// Its worker died.
    WorkerDied,
    /// The machine ran out of something.
    ResourceLimit,
    /// A Claude task was denied the tools that it asked for, and none of them ran.
    Denied,
    /// A Claude task ended before its work was done: no turn was taken, an agent that it had begun was not
    /// waited for, the model refused, or its loop was broken off.
    Incomplete,
    /// The account cannot be used until a person acts: credits, billing, a hold, a verification.
    Account,
}

impl Verdict {
    /// Every verdict, in the order of the enum.
    pub const ALL: [Self; 14] = [
        Self::Succeeded,
        Self::Failed,
        Self::NoResult,
        Self::Auth,
        Self::RateLimited,
        Self::TimedOut,
        Self::Canceled,
        Self::OutputLimit,
        Self::SpawnFailed,
        Self::WorkerDied,
        Self::ResourceLimit,
        Self::Denied,
        Self::Incomplete,
        Self::Account,
    ];

    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NoResult => "no_result",
            Self::Auth => "auth",
            Self::RateLimited => "rate_limited",
            Self::TimedOut => "timed_out",
            Self::Canceled => "canceled",
            Self::OutputLimit => "output_limit",
            Self::SpawnFailed => "spawn_failed",
            Self::WorkerDied => "worker_died",
            Self::ResourceLimit => "resource_limit",
            Self::Denied => "denied",
            Self::Incomplete => "incomplete",
            Self::Account => "account",
        }
    }
}

/// What was missing at a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFailureKind {
    /// A resource of the machine: a process, memory, a descriptor, room on a disk, the worker's program. It says nothing
    /// about the task.
    Means,
    /// The task's program, or the interpreter that it names, does not exist or cannot be executed.
    Program,
    /// The task's working directory does not exist.
    Folder,
}
