//! `task.*`: shows, follows and controls any task by its id.

use cc_events::{EndReason, Isolation, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::ErrorObject,
    params::{Params, invalid},
};

/// Most tasks in one answer to `task.list`.
pub const LIST_LIMIT: u64 = 1_000;
/// Tasks in an answer to `task.list` that names no `limit`.
pub const LIST_DEFAULT: u64 = 100;
/// Most events in one answer to `task.output`; it may hold fewer, to stay a legal message.
pub const OUTPUT_LIMIT: u64 = 10_000;
/// Longest `command` in a [`TaskSummary`].
pub const COMMAND_CHARS_LIMIT: usize = 200;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Its worker is being started.
    Starting,
    /// Its main process has been started.
    Running,
    /// Its tree is stopped.
    Paused,
    /// It is being ended.
    Ending,
    /// It has its terminal event.
    Ended,
}

impl TaskState {
    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }
}

/// A task as `task.get`, `task.list` and `session.resume` show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// uuid v7.
    pub task_id: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// The name that its request gave it.
    pub label: Option<String>,
    /// The beginning of what it runs: the command line, the arguments or the prompt.
    pub command: String,
    /// It was given as a prompt: what people want to see of it is its answer.
    #[serde(default)]
    pub is_prompt: bool,
    /// The session that started it; null for a detached one.
    pub session_id: Option<String>,
    /// When it was accepted, milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Its main process; null until it runs.
    pub pid: Option<i32>,
    /// What holds its processes together: `cgroup` or `subreaper`; none until it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<String>,
    /// What it is kept from, and its limits; of a task that this supervisor, or its predecessor, saw start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Box<Isolation>>,
    /// Of its last event.
    pub last_seq: u64,
    /// Size of its log, bytes.
    pub log_bytes: u64,
    /// What ended it.
    pub reason: Option<EndReason>,
    /// What the end means.
    pub verdict: Option<Verdict>,
    /// As in `process.completed`.
    pub exit_code: Option<i32>,
    /// How many warnings its end has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warnings: u64,
    /// The file that keeps what was cut off its damaged log. Only in answers about one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged_log: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own signature")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Which tasks `task.list` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListFilter {
    /// All that are known.
    #[default]
    All,
    /// Those that have no terminal event.
    Running,
    /// Those that have one.
    Ended,
}

/// The parameters of `task.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskList {
    /// Only tasks in this state.
    #[serde(default)]
    pub state: ListFilter,
    /// At most this many, the newest first.
    pub limit: u64,
    /// Only tasks that were accepted before this one: the last one of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl Default for TaskList {
    fn default() -> Self {
        Self { state: ListFilter::All, limit: LIST_DEFAULT, before: None }
    }
}

impl TaskList {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["state", "limit", "before"])?;
        let state = match params.text("state")?.as_deref() {
            None | Some("all") => ListFilter::All,
            Some("running") => ListFilter::Running,
            Some("ended") => ListFilter::Ended,
            Some(_) => return Err(invalid("state", "must be \"all\", \"running\" or \"ended\"")),
        };
        let limit = limit(&mut params, LIST_LIMIT)?.unwrap_or(LIST_DEFAULT);
        Ok(Self { state, limit, before: params.text("before")? })
    }
}

/// The result of `task.list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskListResult {
    /// The newest first.
    pub tasks: Vec<TaskSummary>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// The parameters of `task.get`, `task.detach`, `task.cancel`, `task.pause` and `task.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskNamed {
    /// The task's id.
    pub task_id: String,
}

impl TaskNamed {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["task_id"])?;
        Ok(Self { task_id: params.required_text("task_id")? })
    }
}

/// The parameters of `task.attach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAttach {
    /// The task's id.
    pub task_id: String,
    /// The last event that the client has; 0 asks for all of them.
    #[serde(default)]
    pub after_seq: u64,
}

impl TaskAttach {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["task_id", "after_seq"])?;
        let after_seq = params.count("after_seq")?.unwrap_or(0);
        Ok(Self { task_id: params.required_text("task_id")?, after_seq })
    }
}

/// The parameters of `task.output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutput {
    /// The task's id.
    pub task_id: String,
    /// The last event that the client has; 0 asks for the first ones.
    #[serde(default)]
    pub after_seq: u64,
    /// At most this many events.
    pub limit: u64,
}

impl TaskOutput {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["task_id", "after_seq", "limit"])?;
        Ok(Self {
            task_id: params.required_text("task_id")?,
            after_seq: params.count("after_seq")?.unwrap_or(0),
            limit: limit(&mut params, OUTPUT_LIMIT)?.unwrap_or(OUTPUT_LIMIT),
        })
    }
}

/// The result of `task.output`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskOutputResult {
    /// Whole notifications, as they were or would have been sent.
    pub events: Vec<Value>,
    /// Ask for what follows with this `after_seq`.
    pub last_seq: u64,
    /// The terminal event is among them or before them: nothing follows.
    pub is_end: bool,
}

pub(crate) fn limit(params: &mut Params, most: u64) -> Result<Option<u64>, ErrorObject> {
    match params.count("limit")? {
        Some(limit) if limit == 0 || limit > most => {
            Err(invalid("limit", &format!("must be from 1 to {most}")).with("limit", most))
        }
        limit => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("no object") };
        map
    }

    #[test]
    fn what_is_left_out_has_a_default_that_shows_everything() {
        assert_eq!(TaskList::from_params(&Map::new()).unwrap(), TaskList::default());
        let attach = TaskAttach::from_params(&map(json!({"task_id": "t"}))).unwrap();
        assert_eq!(attach.after_seq, 0);
        let output = TaskOutput::from_params(&map(json!({"task_id": "t"}))).unwrap();
        assert_eq!((output.after_seq, output.limit), (0, OUTPUT_LIMIT));
    }

    #[test]
    fn a_limit_out_of_range_and_an_unknown_state_are_refused_by_name() {
        for (params, field) in [
            (json!({"limit": 0}), "limit"),
            (json!({"limit": LIST_LIMIT + 1}), "limit"),
            (json!({"limit": -1}), "limit"),
            (json!({"state": "dead"}), "state"),
            (json!({"status": "all"}), "status"),
        ] {
            let error = TaskList::from_params(&map(params)).unwrap_err();
            assert_eq!(error.data["field"], field, "{}", error.message);
        }
        let error = TaskNamed::from_params(&Map::new()).unwrap_err();
        assert_eq!(error.data["field"], "task_id");
    }
}
