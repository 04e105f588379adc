//! What is known of a task before it runs, and the row of the database that holds it.

use std::{path::PathBuf, sync::Arc};

use cc_link::spec::Deadlines;
use cc_state::{Change, TaskAccepted};

#[derive(Clone, Debug)]
pub(crate) struct TaskInfo {
    /// uuid v7.
    pub task_id: String,
    /// The name that its request gave it.
    pub label: Option<String>,
    /// The beginning of what it runs, for people.
    pub command: String,
    /// `None` for a detached task.
    pub session_id: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// The request was a prompt.
    pub is_prompt: bool,
    /// The batch of which it is an attempt or a hook.
    pub batch_id: Option<String>,
    /// What a prompt has in common with others of its kind.
    pub shape: Option<String>,
    /// The name of the token with which it was started: only clients with that token see it, and operators.
    pub token: Option<Arc<str>>,
}

impl TaskInfo {
    /// The change that puts the task on record, which happens before its worker has the spec.
    #[must_use]
    pub(crate) fn record(
        &self,
        is_claude: bool,
        leaf: Option<PathBuf>,
        deadlines: Option<Deadlines>,
    ) -> Change {
        Change::TaskAccepted(Box::new(TaskAccepted {
            id: self.task_id.clone(),
            session_id: self.session_id.clone(),
            label: self.label.clone(),
            command: self.command.clone(),
            accepted_ms: self.accepted_ms,
            is_claude,
            is_prompt: self.is_prompt,
            leaf,
            deadlines,
            batch_id: self.batch_id.clone(),
            shape: self.shape.clone(),
            token: self.token.as_deref().map(str::to_owned),
        }))
    }
}

impl From<&TaskAccepted> for TaskInfo {
    fn from(accepted: &TaskAccepted) -> Self {
        Self {
            task_id: accepted.id.clone(),
            label: accepted.label.clone(),
            command: accepted.command.clone(),
            session_id: accepted.session_id.clone(),
            accepted_ms: accepted.accepted_ms,
            is_prompt: accepted.is_prompt,
            batch_id: accepted.batch_id.clone(),
            shape: accepted.shape.clone(),
            token: accepted.token.as_deref().map(Arc::from),
        }
    }
}
