//! Between the lock and the first client: every task of earlier supervisors is recovered.
//!
//! | what is found | what is done |
//! |---|---|
//! | a task without an end in the database | [`crate::task::recover`]: adopted, left alone, or ended |
//! | a task's directory that the database does not know, with a worker's socket | the same |
//! | one without a socket | the same, after the start: it is old, or no client waits for it |
//! | one without a log | no process ever ran there: the directory is removed |
//!
//! All tasks are recovered at once, and the first client waits for them no longer than [`limits::STARTUP`]; what
//! takes longer continues in the background.

use std::{
    collections::HashSet, fs, io, panic::AssertUnwindSafe, path::Path, sync::Arc, time::Instant,
};

use cc_link::adopt::SOCKET_NAME;
use cc_state::{EndedTask, SessionRow, TaskRow};
use futures_util::FutureExt as _;
use tokio::{task::JoinSet, time::timeout_at};

use crate::{
    batch::Batches,
    config::limits,
    ops::clock::milliseconds,
    session::Sessions,
    storage::state_dir,
    task::{
        TaskInfo,
        context::TaskContext,
        recover::{self, Recovered, UnfinishedTask},
    },
    worker::cgroup,
};

/// The command of a task whose row is lost.
const UNKNOWN_COMMAND: &str = "(its record was lost)";

/// The tasks of earlier supervisors that have no known end.
pub(super) struct EarlierTasks {
    /// Those that the database has without an end.
    unfinished: Vec<UnfinishedTask>,
    /// Those of which there is only a directory.
    unknown: Vec<String>,
}

impl EarlierTasks {
    /// Compares the rows of the database with the directories in `tasks_dir`.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub(super) fn find(
        tasks_dir: &Path,
        unfinished: &[TaskRow],
        ended: &[EndedTask],
    ) -> io::Result<Self> {
        let unfinished_ids = unfinished.iter().map(|row| row.accepted.id.as_str());
        let known: HashSet<&str> =
            ended.iter().map(|task| task.id.as_str()).chain(unfinished_ids).collect();
        let mut unknown = state_dir::task_ids(tasks_dir)?;
        unknown.retain(|id| !known.contains(id.as_str()));
        Ok(Self { unfinished: unfinished.iter().map(UnfinishedTask::from).collect(), unknown })
    }
}

/// How many tasks were recovered in which way.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    adopted: u64,
    left_alone: u64,
    ended: u64,
    had_ended: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, taken: Option<Recovered>) {
        match taken {
            Some(Recovered::Adopted) => self.adopted += 1,
            Some(Recovered::LeftAlone) => self.left_alone += 1,
            Some(Recovered::Ended) => self.ended += 1,
            Some(Recovered::HadEnded) => self.had_ended += 1,
            None => self.failed += 1,
        }
    }

    fn log(self, what: &'static str, under_way: usize, began: Instant) {
        tracing::info!(
            adopted = self.adopted,
            left_alone = self.left_alone,
            ended = self.ended,
            had_ended = self.had_ended,
            failed = self.failed,
            under_way,
            ms = milliseconds(began.elapsed()),
            "{what}"
        );
    }
}

/// Recovers all of them. Returns after [`limits::STARTUP`] at the latest.
pub(super) async fn recover(
    context: &Arc<TaskContext>,
    batches: &Arc<Batches>,
    earlier: EarlierTasks,
) {
    let began = Instant::now();
    let (urgent, old): (Vec<String>, Vec<String>) = earlier
        .unknown
        .into_iter()
        .partition(|id| context.tasks_dir.join(id).join(SOCKET_NAME).exists());
    let mut under_way = JoinSet::new();
    let mut tasks = earlier.unfinished;
    for task_id in urgent {
        tasks.push(unknown(context, task_id).await);
    }
    for task in tasks {
        under_way.spawn(recover_one(Arc::clone(context), task));
    }
    let mut counts = Counts::default();
    let deadline = tokio::time::Instant::now() + limits::STARTUP;
    while let Ok(Some(outcome)) = timeout_at(deadline, under_way.join_next()).await {
        counts.add(outcome.ok().flatten());
    }
    counts.log("the tasks of earlier supervisors are recovered", under_way.len(), began);
    tokio::spawn(finish(Arc::clone(context), Arc::clone(batches), under_way, old));
}

/// Recovers what no client has to wait for.
async fn finish(
    context: Arc<TaskContext>,
    batches: Arc<Batches>,
    mut under_way: JoinSet<Option<Recovered>>,
    old: Vec<String>,
) {
    let began = Instant::now();
    let is_needed = !under_way.is_empty() || !old.is_empty();
    let mut counts = Counts::default();
    while let Some(outcome) = under_way.join_next().await {
        counts.add(outcome.ok().flatten());
    }
    batches.tasks_are_recovered();
    for task_id in old {
        let directory = context.tasks_dir.join(&task_id);
        if state_dir::log_path(&directory).exists() {
            let task = unknown(&context, task_id).await;
            counts.add(recover_one(Arc::clone(&context), task).await);
        } else if let Err(error) = fs::remove_dir(&directory) {
            tracing::warn!(directory = %directory.display(), %error, "a directory that is not a task's");
        }
    }
    if is_needed {
        counts.log("the last tasks of earlier supervisors are recovered", 0, began);
    }
    context.spawner.keepers().remove_dead().await;
    cgroup::remove_abandoned(context.cgroup.as_ref(), context.registry.task_ids()).await;
}

async fn recover_one(context: Arc<TaskContext>, task: UnfinishedTask) -> Option<Recovered> {
    let task_id = task.info.task_id.clone();
    let (info, leaf) = (task.info.clone(), task.leaf.clone());
    let recovering = AssertUnwindSafe(recover::recover(&context, task)).catch_unwind();
    let outcome = match recovering.await {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::error!(task_id, "recovering a task has panicked: it is tried once more");
            context.registry.remove(&task_id);
            recover::recover(&context, UnfinishedTask { info, leaf }).await
        }
    };
    match outcome {
        Ok(taken) => {
            if taken == Recovered::Adopted {
                context.metrics.tasks.adopted();
            }
            tracing::debug!(task_id, ?taken, "recovered a task of an earlier supervisor");
            Some(taken)
        }
        Err(error) => {
            tracing::error!(task_id, %error, "a task of an earlier supervisor cannot be recovered");
            None
        }
    }
}

/// A task that the database does not know. A row is written for it.
async fn unknown(context: &TaskContext, task_id: String) -> UnfinishedTask {
    // A task id contains the time at which it was made.
    let accepted_ms =
        uuid::Uuid::try_parse(&task_id).ok().and_then(|id| id.get_timestamp()).map_or(0, |made| {
            let (seconds, nanoseconds) = made.to_unix();
            seconds * 1000 + u64::from(nanoseconds / 1_000_000)
        });
    let command = UNKNOWN_COMMAND.to_owned();
    let info = TaskInfo {
        task_id,
        label: None,
        command,
        session_id: None,
        accepted_ms,
        is_prompt: false,
        batch_id: None,
        shape: None,
        token: None,
    };
    context.store.write(vec![info.record(false, None, None)]).await;
    UnfinishedTask { info, leaf: None }
}

/// To be called when their tasks have owners again, so that the end of a grace period finds the task to cancel.
pub(super) fn restore_sessions(
    sessions: &Arc<Sessions>,
    rows: Vec<SessionRow>,
    unfinished: &[TaskRow],
) {
    for row in rows {
        let is_its = |task: &&TaskRow| task.accepted.session_id.as_ref() == Some(&row.id);
        let current = unfinished.iter().rev().find(is_its);
        let current_task_id = current.map(|task| task.accepted.id.clone());
        sessions.restore(row, current_task_id);
    }
}
