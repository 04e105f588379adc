//! Tasks as clients see them: from the registry while they run, from the database when they are over.
//!
//! It only reads. Called by [`crate::session`] and [`crate::batch`].

use std::sync::Arc;

use cc_events::Completed;
use cc_protocol::{
    CallError,
    task::{ListFilter, TaskState, TaskSummary},
};
use cc_state::{Filter, TaskRow};

use crate::{
    config::limits,
    storage::state_dir,
    task::{context::TaskContext, handle::TaskHandle},
};

/// A task, over or not.
#[derive(Debug)]
pub(crate) enum TaskRef {
    /// It has an owner.
    Live(TaskHandle),
    /// It has ended, or could not be recovered.
    Stored(Box<TaskRow>),
}

impl TaskRef {
    /// # Errors
    /// When there is no such task, or the database cannot be read.
    pub(crate) async fn find(context: &TaskContext, task_id: &str) -> Result<Self, CallError> {
        if let Some(handle) = context.registry.get(task_id) {
            return Ok(Self::Live(handle));
        }
        let id = task_id.to_owned();
        let row = context.store.read(move |db| db.task(&id)).await?;
        row.map(|row| Self::Stored(Box::new(row)))
            .ok_or_else(|| CallError::NoSuchTask { task_id: task_id.to_owned() })
    }

    #[must_use]
    pub(crate) fn task_id(&self) -> &str {
        match self {
            Self::Live(handle) => handle.task_id(),
            Self::Stored(row) => &row.accepted.id,
        }
    }

    #[must_use]
    pub(crate) fn session_id(&self) -> Option<&str> {
        match self {
            Self::Live(handle) => handle.info().session_id.as_deref(),
            Self::Stored(row) => row.accepted.session_id.as_deref(),
        }
    }

    /// The name of the token with which it was started.
    #[must_use]
    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Self::Live(handle) => handle.info().token.as_deref(),
            Self::Stored(row) => row.accepted.token.as_deref(),
        }
    }

    /// 0 when there is no event.
    #[must_use]
    pub(crate) fn last_seq(&self) -> u64 {
        match self {
            Self::Live(handle) => handle.feed().position().last_seq,
            Self::Stored(row) => row.ended.as_ref().map_or(0, |ended| ended.last_seq),
        }
    }

    /// The terminal event and its seq, if the database has them.
    #[must_use]
    pub(crate) fn stored_end(&self) -> Option<(Completed, u64)> {
        match self {
            Self::Live(_) => None,
            Self::Stored(row) => Some((row.completed()?, row.ended.as_ref()?.last_seq)),
        }
    }

    /// The main process, once it ran.
    #[must_use]
    pub(crate) fn pid(&self) -> Option<i32> {
        match self {
            Self::Live(handle) => handle.status().pid,
            Self::Stored(row) => row.started.as_ref().map(|started| started.pid),
        }
    }

    /// All that is known of it, for an answer about this task alone.
    pub(crate) async fn described(&self, context: &TaskContext) -> TaskSummary {
        let summary = self.summary(context);
        let damaged = cc_tasklog::damaged_path(&context.log_path(&summary.task_id));
        let is_there = tokio::fs::try_exists(&damaged).await.is_ok_and(|is_there| is_there);
        let damaged_log = is_there.then(|| damaged.display().to_string());
        TaskSummary { damaged_log, ..summary }
    }

    #[must_use]
    pub(crate) fn summary(&self, context: &TaskContext) -> TaskSummary {
        match self {
            Self::Live(handle) => of_handle(handle),
            Self::Stored(row) => of_row(context, row),
        }
    }
}

fn of_handle(handle: &TaskHandle) -> TaskSummary {
    let info = handle.info();
    let status = handle.status();
    let position = handle.feed().position();
    let ended = handle.ended();
    TaskSummary {
        task_id: info.task_id.clone(),
        state: if ended.is_some() { TaskState::Ended } else { status.state },
        label: info.label.clone(),
        command: info.command.clone(),
        is_prompt: info.is_prompt,
        session_id: info.session_id.clone(),
        accepted_ms: info.accepted_ms,
        ended_ms: ended.as_ref().map(|ended| ended.at_ms),
        pid: status.pid,
        containment: handle.started().map(|started| started.containment.as_str().to_owned()),
        isolation: handle.started().map(|started| Box::new(started.isolation.clone())),
        last_seq: position.last_seq,
        log_bytes: position.end_offset,
        reason: ended.as_ref().map(|ended| ended.completed.reason),
        verdict: ended.as_ref().map(|ended| ended.completed.verdict),
        exit_code: ended.as_ref().map(|ended| ended.completed.exit_code),
        warnings: ended.as_ref().map_or(0, |ended| ended.completed.warnings.len() as u64),
        damaged_log: None,
    }
}

fn of_row(context: &TaskContext, row: &TaskRow) -> TaskSummary {
    let accepted = &row.accepted;
    let ended = row.ended.as_ref();
    // A row without an end and without an owner is a task that is being recovered.
    let state = if ended.is_some() { TaskState::Ended } else { TaskState::Running };
    TaskSummary {
        task_id: accepted.id.clone(),
        state,
        label: accepted.label.clone(),
        command: accepted.command.clone(),
        is_prompt: accepted.is_prompt,
        session_id: accepted.session_id.clone(),
        accepted_ms: accepted.accepted_ms,
        ended_ms: ended.map(|ended| ended.at_ms),
        pid: row.started.as_ref().map(|started| started.pid),
        containment: row
            .started
            .as_ref()
            .and_then(|started| Some(started.containment.known()?.as_str().to_owned())),
        isolation: None,
        last_seq: ended.map_or(0, |ended| ended.last_seq),
        log_bytes: ended.map_or_else(
            || state_dir::file_bytes(&context.log_path(&accepted.id)),
            |ended| ended.log_bytes,
        ),
        reason: ended.and_then(|ended| ended.reason.known()),
        verdict: ended.and_then(|ended| ended.verdict.known()),
        exit_code: ended.map(|ended| ended.exit_code),
        warnings: ended.map_or(0, |ended| ended.warnings.len() as u64),
        damaged_log: None,
    }
}

/// One page of tasks, the newest first, and whether there are more. With a `token`, of those started with it.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn list(
    context: &TaskContext,
    token: Option<Arc<str>>,
    filter: ListFilter,
    before: Option<String>,
    limit: usize,
) -> Result<(Vec<TaskSummary>, bool), CallError> {
    let filter = match filter {
        ListFilter::All => Filter::All,
        ListFilter::Running => Filter::Unfinished,
        ListFilter::Ended => Filter::Ended,
    };
    let reading = context
        .store
        .read(move |db| db.tasks_of(token.as_deref(), filter, before.as_deref(), limit + 1));
    let rows = reading.await?;
    let mut has_more = rows.len() > limit;
    let mut tasks = Vec::new();
    let mut list_bytes = 0;
    for row in rows.into_iter().take(limit) {
        let summary = live_or_stored(context, row).summary(context);
        list_bytes += json_bytes(&summary);
        if list_bytes > limits::LIST_BYTES {
            has_more = true;
            break;
        }
        tasks.push(summary);
    }
    Ok((tasks, has_more))
}

/// The task of a row. What the registry has of it is newer.
#[must_use]
pub(crate) fn live_or_stored(context: &TaskContext, row: TaskRow) -> TaskRef {
    match context.registry.get(&row.accepted.id) {
        Some(handle) => TaskRef::Live(handle),
        None => TaskRef::Stored(Box::new(row)),
    }
}

/// The newest tasks, as many as an answer can hold.
#[must_use]
pub(crate) fn newest_that_fit(mut tasks: Vec<TaskSummary>, limit: usize) -> Vec<TaskSummary> {
    let mut list_bytes = 0;
    let fitting = tasks
        .iter()
        .rev()
        .take(limit)
        .take_while(|summary| {
            list_bytes += json_bytes(summary);
            list_bytes <= limits::LIST_BYTES
        })
        .count();
    tasks.split_off(tasks.len() - fitting)
}

fn json_bytes(summary: &TaskSummary) -> usize {
    serde_json::to_string(summary).map_or(0, |text| text.len())
}
