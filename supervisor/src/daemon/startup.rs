//! Between the lock and the first client: every task of earlier supervisors is seen to.
//!
//! | what is found | what is done |
//! |---|---|
//! | a task without an end in the database | [`takeover`]: adopted, left alone, or ended |
//! | a task's directory that the database does not know, with a worker's socket | the same |
//! | one without a socket | the same, after the start: it is old, or nobody waits for it |
//! | one without a log | nothing ever ran there: the directory is removed |
//!
//! All tasks are seen to at once, and the first client waits for them no longer than [`limits::STARTUP`]; what
//! takes longer goes on in the background.

use std::{
    collections::HashSet,
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use cc_link::adopt::SOCKET_NAME;
use tokio::{task::JoinSet, time::timeout_at};

use crate::{
    batch::Batches,
    config::limits,
    storage::state_dir,
    task::{
        TaskInfo,
        context::TaskContext,
        recover::{self, Taken, Unfinished},
    },
    worker::cgroup,
};

/// What is shown as the command of a task whose record is lost.
const UNKNOWN_COMMAND: &str = "(its record was lost)";

/// What earlier supervisors have left.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Tasks that the database has without an end.
    pub unfinished: Vec<Unfinished>,
    /// Directories of tasks that the database does not know.
    pub unknown: Vec<String>,
}

impl Inheritance {
    /// Puts together what the database says and what there is in `tasks_dir`. `ended`: the ids that the database
    /// has with an end.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn find(
        tasks_dir: &Path,
        unfinished: Vec<Unfinished>,
        ended: &HashSet<&str>,
    ) -> io::Result<Self> {
        let open: HashSet<&str> =
            unfinished.iter().map(|task| task.info.task_id.as_str()).collect();
        let mut unknown = state_dir::task_ids(tasks_dir)?;
        unknown.retain(|id| !ended.contains(id.as_str()) && !open.contains(id.as_str()));
        drop(open);
        Ok(Self { unfinished, unknown })
    }
}

/// How many tasks went which way.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    adopted: u64,
    left_alone: u64,
    ended: u64,
    had_ended: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, taken: Option<Taken>) {
        match taken {
            Some(Taken::Adopted) => self.adopted += 1,
            Some(Taken::LeftAlone) => self.left_alone += 1,
            Some(Taken::Ended) => self.ended += 1,
            Some(Taken::HadEnded) => self.had_ended += 1,
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
            ms = Duration::as_millis(&began.elapsed()),
            "{what}"
        );
    }
}

/// Sees to everything that was inherited.
pub async fn take_over(
    context: &Arc<TaskContext>,
    batches: &Arc<Batches>,
    inheritance: Inheritance,
) {
    let began = Instant::now();
    let (urgent, old): (Vec<String>, Vec<String>) = inheritance
        .unknown
        .into_iter()
        .partition(|id| context.tasks_dir.join(id).join(SOCKET_NAME).exists());
    let mut under_way = JoinSet::new();
    let mut tasks = inheritance.unfinished;
    for task_id in urgent {
        tasks.push(unknown(context, task_id).await);
    }
    for task in tasks {
        under_way.spawn(take_over_one(Arc::clone(context), task));
    }
    let mut counts = Counts::default();
    let deadline = tokio::time::Instant::now() + limits::STARTUP;
    while let Ok(Some(outcome)) = timeout_at(deadline, under_way.join_next()).await {
        counts.add(outcome.ok().flatten());
    }
    counts.log("the tasks of earlier supervisors are seen to", under_way.len(), began);
    tokio::spawn(finish(Arc::clone(context), Arc::clone(batches), under_way, old));
}

/// What nobody has to wait for.
async fn finish(
    context: Arc<TaskContext>,
    batches: Arc<Batches>,
    mut under_way: JoinSet<Option<Taken>>,
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
            counts.add(take_over_one(Arc::clone(&context), task).await);
        } else if let Err(error) = fs::remove_dir(&directory) {
            tracing::warn!(directory = %directory.display(), %error, "this is no task's directory");
        }
    }
    if is_needed {
        counts.log("late tasks of earlier supervisors are seen to", 0, began);
    }
    context.spawner.keepers().remove_dead().await;
    cgroup::remove_abandoned(context.cgroup.as_ref(), context.registry.task_ids()).await;
}

async fn take_over_one(context: Arc<TaskContext>, task: Unfinished) -> Option<Taken> {
    let task_id = task.info.task_id.clone();
    match recover::take_over(&context, task).await {
        Ok(taken) => {
            if taken == Taken::Adopted {
                context.metrics.task_adopted();
            }
            tracing::debug!(task_id, ?taken, "a task of an earlier supervisor");
            Some(taken)
        }
        Err(error) => {
            tracing::error!(task_id, %error, "a task of an earlier supervisor is left as it is");
            None
        }
    }
}

/// A task that the database does not know; from now on it does.
async fn unknown(context: &TaskContext, task_id: String) -> Unfinished {
    // A task id tells when it was made.
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
    };
    context.store.write(vec![info.record(false, None, None)]).await;
    Unfinished { info, leaf: None }
}
