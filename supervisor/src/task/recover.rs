//! A task of an earlier supervisor that has no known end gets an owner again, or its end.
//!
//! ```text
//!               answers: adopted ──────────────────────────────▶ followed to its end as any other
//!   a worker ──▶ hangs up ─────────▶ it is ending, or dead: the log decides
//!   listens     answers nothing ──▶ hung: killed ─────────┐
//!               is foreign ───────▶ left alone until it exits ─┐
//!                                                         ▼    ▼
//!   none does ──▶ the log has the terminal event: so it ended;  it has none: `worker_died`
//! ```
//! Called once for each such task by `crate::daemon::recovery`, for all tasks at once: one task cannot hold up another.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use cc_link::{adopt::Adopted, spec::OnSupervisorLoss};
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary, TaskRow};
use cc_tasklog::{FIRST_RECORD_OFFSET, Summary, summary};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use crate::{
    config::limits,
    storage::state_dir,
    task::{
        claim,
        context::TaskContext,
        feed::{Feed, Position},
        handle::{TaskHandle, TaskStatus},
        info::TaskInfo,
        owner::Owner,
        retention::EndedTask,
        worker_error::WorkerError,
        worker_lost::{Failure, LostWorker, publish_undelivered, recover_log},
    },
    worker::{
        adopt::{AdoptReply, Candidate, Foreign},
        cgroup,
        process::ProcessHandle,
    },
};

/// A task without a known end.
#[derive(Clone, Debug)]
pub(crate) struct UnfinishedTask {
    pub info: TaskInfo,
    /// The task's cgroup, where it is known.
    pub leaf: Option<PathBuf>,
}

impl From<&TaskRow> for UnfinishedTask {
    fn from(row: &TaskRow) -> Self {
        Self { info: TaskInfo::from(&row.accepted), leaf: row.accepted.leaf.clone() }
    }
}

/// What became of an unfinished task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// Its worker serves this supervisor.
    Adopted,
    /// Its worker runs on and cannot be talked to.
    LeftAlone,
    /// Its worker was gone or hung: it was given its terminal event.
    Ended,
    /// Its log had the terminal event already.
    HadEnded,
}

/// Why a task was not recovered. It stays as it is for the next start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error("looking for its worker: {0}")]
    Worker(#[from] io::Error),
    #[error("{0}")]
    Thread(#[from] JoinError),
    #[error("the supervisor is stopping")]
    Stopping,
}

/// Recovers one task. Returns when it has an owner or an end.
///
/// # Errors
/// When it is not known whether the task has a worker, or the supervisor is stopping.
pub(crate) async fn recover(
    context: &Arc<TaskContext>,
    mut task: UnfinishedTask,
) -> Result<Recovered, RecoverError> {
    let directory = context.tasks_dir.join(&task.info.task_id);
    let log_path = state_dir::log_path(&directory);
    // A worker that has its spec but no log yet will find this log and then not start the task. So a worker that does
    // not listen by now never will: its socket is there before its log.
    let (path, fsync) = (log_path.clone(), context.config().fsync);
    let is_claimed = spawn_blocking(move || claim::claim(&path, fsync)).await?;
    let failure = if is_claimed { Failure::TooLate } else { Failure::Died };
    task.leaf =
        task.leaf.or_else(|| cgroup::find_leaf(context.cgroup.as_ref(), &task.info.task_id));
    let Some(mut candidate) = Candidate::find(&directory, &context.adoption_key).await? else {
        return without_worker(context, task, log_path, failure).await;
    };
    match candidate.answer(limits::ADOPT_SOON).await {
        Some(AdoptReply::Adopted(adopted)) => {
            // The log is not read: that would take time that grows with its length.
            let (end_offset, last_seq) = (adopted.end_offset, adopted.last_seq);
            let logged = Summary { end_offset, last_seq, ..Summary::default() };
            let owner = owner_of(context, task, log_path, logged)?;
            Ok(follow(owner, candidate, *adopted))
        }
        Some(AdoptReply::HungUp) => {
            end_process(&candidate.process).await;
            without_worker(context, task, log_path, failure).await
        }
        Some(AdoptReply::Foreign(why)) => {
            let logged = read_log(&log_path).await?;
            let owner = owner_of(context, task, log_path, logged)?;
            Ok(leave_alone(owner, candidate.process, &why))
        }
        None => wait_for_answer(context, task, log_path, candidate).await,
    }
}

/// No worker listens: the log says how the task ended, or gets a terminal event.
async fn without_worker(
    context: &Arc<TaskContext>,
    task: UnfinishedTask,
    log_path: PathBuf,
    failure: Failure,
) -> Result<Recovered, RecoverError> {
    let logged = read_log(&log_path).await?;
    if logged.completed.is_some() {
        record_end(context, &task.info.task_id, &log_path, logged).await;
        return Ok(Recovered::HadEnded);
    }
    let owner = owner_of(context, task, log_path, logged)?;
    // The worker's pid is in the log if the task had started.
    owner.end_lost(failure, LostWorker::default(), Some(WorkerError::DiedAlone)).await;
    Ok(Recovered::Ended)
}

/// Waits longer for a worker that has not answered yet. The task has an owner meanwhile, so that its client finds it.
async fn wait_for_answer(
    context: &Arc<TaskContext>,
    task: UnfinishedTask,
    log_path: PathBuf,
    mut candidate: Candidate,
) -> Result<Recovered, RecoverError> {
    let logged = read_log(&log_path).await?;
    if logged.completed.is_some() {
        end_process(&candidate.process).await;
        record_end(context, &task.info.task_id, &log_path, logged).await;
        return Ok(Recovered::HadEnded);
    }
    let owner = owner_of(context, task, log_path, logged)?;
    let error = match candidate.answer(limits::ADOPT_ANSWER).await {
        Some(AdoptReply::Adopted(adopted)) => {
            let (feed, end_offset) = (Arc::clone(owner.feed()), adopted.end_offset);
            // The worker sends what follows `end_offset`. What it has written between the look at its log and there is
            // read from the log.
            let catching_up = spawn_blocking(move || publish_undelivered(&feed, end_offset));
            match catching_up.await? {
                Ok(_) => return Ok(follow(owner, candidate, *adopted)),
                Err(error) => {
                    candidate.process.kill().await;
                    WorkerError::Log(error)
                }
            }
        }
        Some(AdoptReply::Foreign(why)) => return Ok(leave_alone(owner, candidate.process, &why)),
        Some(AdoptReply::HungUp) => {
            end_process(&candidate.process).await;
            WorkerError::HungUp
        }
        None => {
            candidate.process.kill().await;
            WorkerError::NotAdopted
        }
    };
    let worker = LostWorker { pid: Some(candidate.process.pid()), descendants: Vec::new() };
    owner.end_lost(Failure::Died, worker, Some(error)).await;
    Ok(Recovered::Ended)
}

fn follow(mut owner: Owner, candidate: Candidate, adopted: Adopted) -> Recovered {
    owner.adopted(adopted);
    let (worker, received) = candidate.into_worker();
    tokio::spawn(owner.lifeline().hold(owner.follow(worker, received)));
    Recovered::Adopted
}

fn leave_alone(owner: Owner, process: ProcessHandle, why: &Foreign) -> Recovered {
    tracing::warn!(
        task_id = owner.task_id(),
        worker_pid = process.pid(),
        why = why.to_string(),
        "a worker cannot be adopted: its task runs to its end, but its output only comes then, it cannot be \
         paused, and a cancel is a SIGTERM to its worker"
    );
    owner.could_kill(process.clone());
    tokio::spawn(owner.lifeline().hold(owner.watch_from_afar(process)));
    Recovered::LeftAlone
}

/// Waits until a worker that has hung up is gone, and kills it if that takes longer than the kill of a task may.
async fn end_process(process: &ProcessHandle) {
    if timeout(limits::WORKER_KILL, process.ended()).await.is_err() {
        tracing::warn!(worker = process.pid(), "a worker did not exit: killed");
        process.kill().await;
    }
}

/// Registers the task, so that clients find it, and makes its owner.
fn owner_of(
    context: &Arc<TaskContext>,
    task: UnfinishedTask,
    log_path: PathBuf,
    logged: Summary,
) -> Result<Owner, RecoverError> {
    let (end_offset, last_seq) = (logged.end_offset, logged.last_seq);
    let position = Position { end_offset, last_seq, is_done: false };
    let feed = Feed::continued(log_path, limits::RING_BYTES, position);
    let pid = logged.started.as_ref().map(|started| started.pid);
    let status = TaskStatus { state: TaskState::Running, pid, is_canceled: false };
    let (handle, side) = TaskHandle::new(task.info, feed, status, OnSupervisorLoss::Keep);
    context.registry.insert_recovered(handle).map_err(|_| RecoverError::Stopping)?;
    Ok(Owner::of_recovered_task(context, side, task.leaf, logged))
}

/// Summarizes a log. One that cannot be read counts as empty: no client can be sent anything of it.
async fn read_log(log_path: &Path) -> Result<Summary, JoinError> {
    let path = log_path.to_owned();
    let summary = spawn_blocking(move || summary(&path)).await?;
    Ok(summary.unwrap_or_else(|error| {
        let task_id = state_dir::task_of_log(log_path);
        tracing::error!(task_id, %error, "the log of an earlier supervisor's task cannot be read");
        Summary { end_offset: FIRST_RECORD_OFFSET, ..Summary::default() }
    }))
}

/// Records the end that the log holds in the database, and cuts a torn end off the log.
async fn record_end(context: &TaskContext, task_id: &str, log_path: &Path, logged: Summary) {
    let Some(completed) = logged.completed else { return };
    if logged.torn_bytes > 0 {
        let path = log_path.to_owned();
        if let Ok(Err(error)) = spawn_blocking(move || recover_log(&path)).await {
            tracing::error!(task_id, %error, "the damaged end of a log stays as it is");
        }
    }
    let id = task_id.to_owned();
    let mut changes = Vec::new();
    if let (Some(started), Some(at_ms)) = (logged.started, logged.started_time_ms) {
        changes.push(Change::TaskStarted { id: id.clone(), at_ms, started });
    }
    let (at_ms, log_bytes, last_seq) = (logged.last_time_ms, logged.end_offset, logged.last_seq);
    let result = logged.result.map(|result| ResultSummary::from(&*result));
    changes.push(Change::TaskEnded { id, at_ms, completed, last_seq, log_bytes, result });
    context.store.write(changes).await;
    let task_id = task_id.to_owned();
    context.retention.add(EndedTask { task_id, ended_ms: at_ms, log_bytes, feed: Weak::new() });
}
