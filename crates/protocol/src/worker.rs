//! `worker.*` and `supervisor.subscribe`: for operators.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::ErrorObject,
    params::{Params, invalid},
    task::TaskState,
};

/// A worker and what its task's processes use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSummary {
    /// The task that it runs; a worker runs one task only, so this names the worker as well.
    pub task_id: String,
    /// Of the worker.
    pub pid: i32,
    /// Where the task is in its life.
    pub state: TaskState,
    /// Since the worker was started.
    pub age_ms: u64,
    /// Of the worker program; null in its first seconds.
    pub version: Option<String>,
    /// `cgroup` or `subreaper`; null until the task runs.
    pub containment: Option<String>,
    /// User and system time of the worker and of its task's processes.
    pub cpu_ms: u64,
    /// Resident memory of the worker and of its task's processes; what they share is counted for each.
    pub memory_bytes: u64,
    /// The task's processes that are alive.
    pub processes: u64,
    /// Since the worker's last sign of life.
    pub silent_ms: u64,
    /// A restart was asked for: it ends with its task.
    pub is_retiring: bool,
}

/// The result of `worker.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerListResult {
    /// In the order in which their tasks were accepted.
    pub workers: Vec<WorkerSummary>,
}

/// How workers are restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartMode {
    /// Each ends with its task.
    #[default]
    Graceful,
    /// Their tasks are ended, with their grace, for the reason `worker_restarted`.
    Now,
}

/// The parameters of `worker.restart`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRestart {
    /// The task whose worker is meant; null for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// All that there are.
    #[serde(default)]
    pub all: bool,
    /// What becomes of their tasks.
    #[serde(default)]
    pub mode: RestartMode,
}

impl WorkerRestart {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["task_id", "all", "mode"])?;
        let mode = match params.text("mode")?.as_deref() {
            None | Some("graceful") => RestartMode::Graceful,
            Some("now") => RestartMode::Now,
            Some(_) => return Err(invalid("mode", "must be \"graceful\" or \"now\"")),
        };
        let (task_id, all) = (params.text("task_id")?, params.flag("all")?.unwrap_or(false));
        match (&task_id, all) {
            (Some(_), true) => Err(invalid("all", "and task_id exclude each other")),
            (None, false) => Err(invalid("task_id", "is missing; \"all\": true names all workers")),
            (Some(_), false) | (None, true) => Ok(Self { task_id, all, mode }),
        }
    }
}

/// The result of `worker.restart`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRestartResult {
    /// The tasks whose workers are restarted. Those that are accepted from now on get a new keeper, and with it the worker
    /// program that is installed now.
    pub restarted: Vec<String>,
}

/// A condition that stands, or has stood: something is wrong with the supervisor or its surroundings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The condition's name, such as `restart_rate`.
    pub kind: String,
    /// What happened and what to do.
    pub text: String,
    /// Since when it stands, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// It does not stand any more.
    pub cleared: bool,
}

/// The result of `supervisor.subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeResult {
    /// Those that stand now. What changes comes as `supervisor.alert`.
    pub alerts: Vec<Alert>,
}
