//! A task that an earlier supervisor did not see to its end gets an owner again, or its end.
//!
//! ```text
//!               answers: adopted ──────────────────────────────▶ followed to its end as any other
//!   a worker ──▶ hangs up ─────────▶ it is ending, or dead: the log decides
//!   listens     answers nothing ──▶ hung: killed ─────────┐
//!               is foreign ───────▶ left alone until it exits ─┐
//!                                                         ▼    ▼
//!   nobody does ──▶ the log has the terminal event: so it ended;  it has none: `worker_died`
//! ```
//! Called once per task by [`crate::daemon::recovery`]. Whatever happens, one task cannot hold up another one.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use cc_link::spec::OnSupervisorLoss;
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary, TaskRow};
use cc_tasklog::{FIRST_RECORD_OFFSET, LogWriter, Summary, summary};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use crate::{
    config::limits,
    storage::state_dir,
    task::{
        TaskHandle, TaskInfo, TaskStatus,
        context::TaskContext,
        feed::{Feed, Position},
        owner::{DeadWorker, Owner},
        retention::EndedTask,
        worker_lost::{Failure, publish_undelivered, recover_log},
    },
    worker::{
        adopt::{AdoptReply, Candidate},
        cgroup,
        process::ProcessHandle,
    },
};

/// A task without a known end.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// What is known of it.
    pub info: TaskInfo,
    /// Its cgroup, where that is known.
    pub leaf: Option<PathBuf>,
}

impl From<&TaskRow> for Unfinished {
    fn from(row: &TaskRow) -> Self {
        let accepted = &row.accepted;
        let info = TaskInfo {
            task_id: accepted.id.clone(),
            label: accepted.label.clone(),
            command: accepted.command.clone(),
            session_id: accepted.session_id.clone(),
            accepted_ms: accepted.accepted_ms,
            is_prompt: accepted.is_prompt,
            batch_id: accepted.batch_id.clone(),
            shape: accepted.shape.clone(),
        };
        Self { info, leaf: accepted.leaf.clone() }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its worker serves this supervisor now.
    Adopted,
    /// Its worker runs on, out of reach.
    LeftAlone,
    /// Its worker was gone or hung: it has its terminal event now.
    Ended,
    /// It had ended before, and its log says how.
    HadEnded,
}

/// Why a task could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Whether its worker lives cannot be told.
    #[error("looking for its worker: {0}")]
    Worker(#[from] io::Error),
    /// A thread died.
    #[error("{0}")]
    Thread(#[from] JoinError),
    /// The supervisor is being stopped already.
    #[error("the supervisor is stopping")]
    Stopping,
}

/// Sees to one task. Returns when it has an owner or an end.
///
/// # Errors
/// When it cannot be told how the task stands: it stays as it is for the next start.
pub async fn take_over(
    context: &Arc<TaskContext>,
    mut task: Unfinished,
) -> Result<Taken, TakeoverError> {
    let directory = context.tasks_dir.join(&task.info.task_id);
    let log_path = state_dir::log_path(&directory);
    // A worker that has its spec but no log yet finds that there is one now, and does not start the task. So
    // nobody who does not listen by now ever will: a worker's socket is there before its log.
    let (path, fsync) = (log_path.clone(), context.config.fsync);
    let is_made_here = spawn_blocking(move || LogWriter::create(&path, fsync).is_ok()).await?;
    let failure = if is_made_here { Failure::TooLate } else { Failure::Died };
    task.leaf =
        task.leaf.or_else(|| cgroup::find_leaf(context.cgroup.as_ref(), &task.info.task_id));
    let Some(mut candidate) = Candidate::find(&directory).await? else {
        return without_worker(context, task, log_path, failure).await;
    };
    match candidate.answer(limits::ADOPT_SOON).await {
        Some(AdoptReply::Adopted(adopted)) => {
            // What is before is not looked at: that would take as long as the log is.
            let (end_offset, last_seq) = (adopted.end_offset, adopted.last_seq);
            let held = Summary { end_offset, last_seq, ..Summary::default() };
            let mut owner = owner_at(context, task, log_path, held)?;
            owner.adopted(*adopted);
            let (worker, received) = candidate.into_worker();
            tokio::spawn(owner.lifeline().hold(owner.follow(worker, received)));
            Ok(Taken::Adopted)
        }
        Some(AdoptReply::HungUp) => {
            end_process(&candidate.process).await;
            without_worker(context, task, log_path, failure).await
        }
        Some(AdoptReply::Foreign(why)) => {
            leave_alone(context, task, log_path, candidate.process, why).await
        }
        None => wait_for_answer(context, task, log_path, candidate).await,
    }
}

/// Nobody listens: the log says how the task ended, or is told now.
async fn without_worker(
    context: &Arc<TaskContext>,
    task: Unfinished,
    log_path: PathBuf,
    failure: Failure,
) -> Result<Taken, TakeoverError> {
    let held = look_at(&log_path).await?;
    if held.completed.is_some() {
        record_end(context, &task.info.task_id, &log_path, held).await;
        return Ok(Taken::HadEnded);
    }
    let owner = owner_at(context, task, log_path, held)?;
    let text = "the worker died while no supervisor was there".to_owned();
    // Its number is in the log, if it came so far.
    owner.bury_as(failure, DeadWorker::default(), Some(text)).await;
    Ok(Taken::Ended)
}

/// It has not answered yet. The task has an owner meanwhile, so that its client finds it.
async fn wait_for_answer(
    context: &Arc<TaskContext>,
    task: Unfinished,
    log_path: PathBuf,
    mut candidate: Candidate,
) -> Result<Taken, TakeoverError> {
    let held = look_at(&log_path).await?;
    if held.completed.is_some() {
        end_process(&candidate.process).await;
        record_end(context, &task.info.task_id, &log_path, held).await;
        return Ok(Taken::HadEnded);
    }
    let mut owner = owner_at(context, task, log_path, held)?;
    let text = match candidate.answer(limits::ADOPT_ANSWER).await {
        Some(AdoptReply::Adopted(adopted)) => {
            let (feed, end_offset) = (Arc::clone(owner.feed()), adopted.end_offset);
            // What it has written since the look at its log is the adopter's to read.
            let catching_up = spawn_blocking(move || publish_undelivered(&feed, end_offset));
            if let Err(error) = catching_up.await? {
                candidate.process.kill().await;
                let text = format!("its log cannot be read: {error}");
                owner.end_lost(dead(&candidate), Some(text)).await;
                return Ok(Taken::Ended);
            }
            owner.adopted(*adopted);
            let (worker, received) = candidate.into_worker();
            tokio::spawn(owner.lifeline().hold(owner.follow(worker, received)));
            return Ok(Taken::Adopted);
        }
        Some(AdoptReply::Foreign(why)) => {
            warn_of_foreign(&owner, &candidate.process, &why);
            tokio::spawn(owner.watch_from_afar(candidate.process));
            return Ok(Taken::LeftAlone);
        }
        Some(AdoptReply::HungUp) => {
            end_process(&candidate.process).await;
            "the worker died".to_owned()
        }
        None => {
            candidate.process.kill().await;
            let seconds = (limits::ADOPT_SOON + limits::ADOPT_ANSWER).as_secs();
            format!("the worker did not answer a new supervisor within {seconds} s")
        }
    };
    owner.end_lost(dead(&candidate), Some(text)).await;
    Ok(Taken::Ended)
}

fn dead(candidate: &Candidate) -> DeadWorker {
    DeadWorker { pid: Some(candidate.process.pid()), known: Vec::new() }
}

/// It cannot be talked to, so its task runs to its end by itself.
async fn leave_alone(
    context: &Arc<TaskContext>,
    task: Unfinished,
    log_path: PathBuf,
    process: ProcessHandle,
    why: String,
) -> Result<Taken, TakeoverError> {
    let held = look_at(&log_path).await?;
    let owner = owner_at(context, task, log_path, held)?;
    warn_of_foreign(&owner, &process, &why);
    tokio::spawn(owner.watch_from_afar(process));
    Ok(Taken::LeftAlone)
}

fn warn_of_foreign(owner: &Owner, process: &ProcessHandle, why: &str) {
    tracing::warn!(
        task_id = owner.task_id(),
        worker_pid = process.pid(),
        why,
        "a worker cannot be adopted: its task runs to its end, but its output only comes then, it cannot be \
         paused, and a cancel is a SIGTERM to its worker"
    );
}

/// Waits for a worker that has hung up to be gone; kills it if it takes longer than its own kill may.
async fn end_process(process: &ProcessHandle) {
    if timeout(limits::WORKER_KILL, process.ended()).await.is_err() {
        tracing::warn!(worker = process.pid(), "a worker did not exit: killed");
        process.kill().await;
    }
}

/// Gives the task an owner that everybody can find.
fn owner_at(
    context: &Arc<TaskContext>,
    task: Unfinished,
    log_path: PathBuf,
    held: Summary,
) -> Result<Owner, TakeoverError> {
    let (end_offset, last_seq) = (held.end_offset, held.last_seq);
    let position = Position { end_offset, last_seq, is_done: false };
    let feed = Feed::continued(log_path, limits::RING_BYTES, position);
    let pid = held.started.as_ref().map(|started| started.pid);
    let progress = TaskStatus { state: TaskState::Running, pid, is_canceled: false };
    let (handle, side) = TaskHandle::new(task.info, feed, progress, OnSupervisorLoss::Keep);
    context.registry.insert_found(handle).map_err(|_| TakeoverError::Stopping)?;
    Ok(Owner::of_found_task(context, side, task.leaf, held))
}

/// Reads a log where blocking is allowed. One that cannot be read holds nothing that anybody can be sent.
async fn look_at(log_path: &Path) -> Result<Summary, JoinError> {
    let path = log_path.to_owned();
    let summary = spawn_blocking(move || summary(&path)).await?;
    Ok(summary.unwrap_or_else(|error| {
        tracing::error!(%error, "the log of an earlier supervisor's task");
        Summary { end_offset: FIRST_RECORD_OFFSET, ..Summary::default() }
    }))
}

/// The database is told what the log says.
async fn record_end(context: &TaskContext, task_id: &str, log_path: &Path, held: Summary) {
    let Some(completed) = held.completed else { return };
    if held.torn_bytes > 0 {
        let path = log_path.to_owned();
        if let Ok(Err(error)) = spawn_blocking(move || recover_log(&path)).await {
            tracing::error!(task_id, %error, "the damaged end of a log stays as it is");
        }
    }
    let id = task_id.to_owned();
    let mut changes = Vec::new();
    if let (Some(started), Some(at_ms)) = (held.started, held.started_time_ms) {
        changes.push(Change::TaskStarted { id: id.clone(), at_ms, started });
    }
    let (at_ms, log_bytes, last_seq) = (held.last_time_ms, held.end_offset, held.last_seq);
    let result = held.result.map(|result| ResultSummary::from(&*result));
    changes.push(Change::TaskEnded { id, at_ms, completed, last_seq, log_bytes, result });
    context.store.write(changes).await;
    let task_id = task_id.to_owned();
    context.retention.add(EndedTask { task_id, ended_ms: at_ms, log_bytes, feed: Weak::new() });
}
