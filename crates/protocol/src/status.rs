//! `supervisor.status`: how the supervisor is, on one screen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    batch::{BatchCounts, BatchState},
    gate::GateSummary,
};

/// Most batches in [`SupervisorStatus::batches`].
pub const BATCHES_LIMIT: usize = 20;

/// How it is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Nothing is wrong.
    Ok,
    /// Something is wrong; new tasks can be started.
    Degraded,
    /// New tasks cannot be started.
    NotReady,
    /// An operator asked that no new task is started.
    Draining,
    /// It is about to exit.
    Stopping,
}

impl ServiceState {
    /// The word for it on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::NotReady => "not_ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusProblem {
    /// Its name, as pages, metrics and notifications have it.
    pub condition: String,
    /// Whether new tasks cannot be started because of it.
    pub is_blocking: bool,
    /// What happened and what to do.
    pub text: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// How tasks ended: by verdict, without those that did not occur.
pub type EndCounts = BTreeMap<String, u64>;

/// The tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusTasks {
    /// Those that are not over.
    pub running: u64,
    /// So many may run at once.
    pub limit: u64,
    /// Those of batches that wait for their turn or for a limit.
    pub waiting: u64,
    /// Ended in the last hour, to five minutes.
    pub ended_last_hour: EndCounts,
    /// Ended in the last 24 hours, to an hour.
    pub ended_last_day: EndCounts,
    /// Ends are counted since then, milliseconds since the Unix epoch: the supervisor's start.
    pub counted_since_ms: u64,
}

/// The sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusSessions {
    /// With a connection.
    pub connected: u64,
    /// Without one, for the client to resume.
    pub waiting: u64,
    /// So many may be connected at once.
    pub limit: u64,
}

/// A batch that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusBatch {
    /// For `batch.*`.
    pub batch_id: String,
    /// The name that the plan gave it.
    pub name: Option<String>,
    /// Where it is in its life.
    pub state: BatchState,
    /// How many tasks stand where.
    pub counts: BatchCounts,
}

/// What the supervisor uses, and what is left. A figure that the system does not tell is null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusResources {
    /// Memory of the supervisor that is resident.
    pub resident_bytes: Option<u64>,
    /// Its open files.
    pub open_files: Option<u64>,
    /// So many may be open at once.
    pub open_files_limit: Option<u64>,
    /// Room on the file system of the state directory.
    pub disk_free_bytes: Option<u64>,
    /// The size of that file system.
    pub disk_total_bytes: Option<u64>,
    /// What the logs of ended tasks take.
    pub ended_logs_bytes: u64,
}

/// The result of `supervisor.status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SupervisorStatus {
    /// How it is, in a word.
    pub state: ServiceState,
    /// What is wrong.
    pub problems: Vec<StatusProblem>,
    /// Of the supervisor.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// For how long it runs.
    pub uptime_s: u64,
    /// The tasks.
    pub tasks: StatusTasks,
    /// The sessions.
    pub sessions: StatusSessions,
    /// How many batches are not over.
    pub batch_count: u64,
    /// Of those, the oldest.
    pub batches: Vec<StatusBatch>,
    /// Gates that are shut, or at which tasks wait.
    pub gates: Vec<GateSummary>,
    /// What it uses, and what is left.
    pub resources: StatusResources,
}
