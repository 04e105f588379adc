//! What happens when a worker is gone without a terminal event: what it left is killed, its log is made whole, the
//! records that the pipe did not deliver are published, and the terminal event is written here.
//!
//! Who kills: the worker's keeper, which is the parent of its orphans, and then [`crate::worker::sweeper`] for what
//! no keeper found; both by `cc_proctree::kill`. Called by [`crate::task::owner`], once for each lost worker.
//! Whatever fails here, the feed ends with exactly one terminal event.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cc_events::{
    Completed, EndReason, Event, OutputCounts, SpawnFailureKind, Started, Verdict, Warning,
    WarningKind,
};
use cc_link::{
    record::{Body, Record, decode_frame, frame_bytes, peek_seqs},
    spec::Fsync,
};
use cc_proctree::{kill::Swept, procfs::Process, tree_record};
use cc_tasklog::{Kept, LogError, LogReader, LogWriter, Recovered, recover};

use crate::{
    config::limits,
    ops::{
        clock::{milliseconds, now_ms},
        metrics::AbnormalEnd,
    },
    storage::state_dir::task_of_log,
    task::{
        claim, context::TaskContext, feed::Feed, not_started::NotStarted, worker_error::WorkerError,
    },
};

const SIGKILL: i32 = 9;
/// The exit code of env(1) for a failure that is not the program's. Together with [`EndReason::WorkerDied`] it marks
/// [`Failure::TooLate`].
const NOT_STARTED: i32 = 125;
/// Added to how a worker ended that had not made its task's log.
const BEFORE_START: &str = ", before it had started the task";
/// Why it is not proven that nothing of the task is left: the keeper was the parent of its orphans.
const KEEPER_LOST: &str = "the keeper of the workers had died before, so a process of the task that had cleared its \
                           environment may have been missed";
const SWEEP_FAILED: &str = "the processes of the machine could not be listed, so a process of the task may have been missed";

/// How far a lost worker had come.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no worker, or it was never given the task.
    NotStarted(NotStarted),
    /// For certain nothing of the task has run, or ever will: the worker died before it had made the log, which it does
    /// before it starts the task; or it lives, will find the log that was made here, and then does not start the task.
    TooLate,
    /// The worker died, or was killed because it had failed.
    Died,
}

/// Whether a task for certain never began: the mark of [`Failure::TooLate`].
#[must_use]
pub(crate) fn never_began(completed: &Completed) -> bool {
    completed.reason == EndReason::WorkerDied && completed.exit_code == NOT_STARTED
}

/// A worker that is gone.
#[derive(Debug, Default)]
pub(crate) struct LostWorker {
    pub pid: Option<i32>,
    /// The processes that were seen below it before it was killed.
    pub descendants: Vec<Process>,
}

/// A task whose worker is gone.
#[derive(Debug)]
pub(crate) struct LostTask {
    pub task_id: String,
    /// The task's cgroup, if it got one.
    pub leaf: Option<PathBuf>,
    pub feed: Arc<Feed>,
    /// The main process, if it ran.
    pub started: Option<Started>,
    /// Since the worker was started. `None`: an earlier supervisor did that, and only the log tells.
    pub duration: Option<Duration>,
    pub failure: Failure,
    pub worker: LostWorker,
    /// Why the worker was given up. `None`: how it ended says it.
    pub error: Option<WorkerError>,
}

/// Brings the task's log and feed to their end and returns the terminal event.
pub(crate) async fn write_terminal_event(
    context: &Arc<TaskContext>,
    mut lost: LostTask,
) -> Box<Completed> {
    let left = match &lost.failure {
        Failure::NotStarted(error) => Leftovers { text: error.to_string(), ..Leftovers::default() },
        Failure::TooLate | Failure::Died => end_leftovers(context, &mut lost).await,
    };
    let unkillable = left.swept.unkillable;
    if unkillable > 0 {
        tracing::error!(task_id = lost.task_id, unkillable, "processes survived SIGKILL");
    }
    let feed = Arc::clone(&lost.feed);
    let completed = Box::new(completed(&lost, left));
    let fallback = completed.clone();
    let fsync = context.config().fsync;
    let closing = tokio::task::spawn_blocking(move || {
        let completed = close_log(&lost, completed, fsync);
        claim::settle(lost.feed.log_path());
        completed
    });
    match closing.await {
        Ok(completed) => completed,
        Err(error) => {
            let task_id = task_of_log(feed.log_path());
            tracing::error!(task_id, %error, "closing a task's log failed");
            let (frame, seq) = terminal_frame(&feed, &fallback);
            feed.append(frame, seq, true);
            fallback
        }
    }
}

/// What became of the processes of a task whose worker is gone.
#[derive(Debug, Default)]
struct Leftovers {
    /// The error text of the terminal event.
    text: String,
    swept: Swept,
    /// Why it is not proven that none is left.
    doubt: Option<&'static str>,
}

/// Waits until the worker's keeper has ended what the worker left, and sweeps for the rest.
async fn end_leftovers(context: &TaskContext, lost: &mut LostTask) -> Leftovers {
    let how = lost.error.as_ref().map_or(AbnormalEnd::Died, WorkerError::abnormal_end);
    context.spawner.supervision().worker_lost(how);
    // No process has the number 0: then the answer is that all that keepers have found is ended.
    let exit = context.spawner.keepers().settle(lost.worker.pid.unwrap_or(0)).await;
    // A keeper that knows how the worker ended was its parent, and has ended what it left.
    let is_parent_lost = exit.is_keeper_lost && exit.end.is_none() && lost.leaf.is_none();
    let mut known = std::mem::take(&mut lost.worker.descendants);
    let record = lost.feed.log_path().with_file_name(tree_record::FILE_NAME);
    if is_parent_lost {
        let alive = tokio::task::spawn_blocking(move || tree_record::alive(&record)).await;
        known.extend(alive.unwrap_or_default());
    }
    let sweeper = context.spawner.sweeper();
    let sweep = sweeper.sweep(&lost.task_id, lost.leaf.clone(), known).await;
    let mut doubt = is_parent_lost.then_some(KEEPER_LOST);
    let swept = sweep.unwrap_or_else(|error| {
        tracing::error!(task_id = lost.task_id, %error, "the sweep failed");
        doubt = Some(SWEEP_FAILED);
        Swept::default()
    });
    let mut text = match &lost.error {
        Some(error) => error.to_string(),
        None => format!("the worker {exit}"),
    };
    if let Some(doubt) = doubt {
        text = format!("{text}; {doubt}");
    }
    let (task_id, worker_pid) = (&lost.task_id, lost.worker.pid);
    tracing::warn!(task_id, worker_pid, text, "worker failed");
    Leftovers { text, swept: exit.swept + swept, doubt }
}

/// The terminal event that the worker did not send.
fn completed(lost: &LostTask, left: Leftovers) -> Completed {
    let died = (EndReason::WorkerDied, Verdict::WorkerDied);
    let ((reason, verdict), exit_code, signal, spawn_failure) = match &lost.failure {
        Failure::NotStarted(error) => {
            let spawn_failure = error.is_environmental().then_some(SpawnFailureKind::Means);
            ((EndReason::SpawnFailed, Verdict::SpawnFailed), NOT_STARTED, None, spawn_failure)
        }
        Failure::TooLate => (died, NOT_STARTED, None, None),
        Failure::Died => (died, -SIGKILL, lost.started.as_ref().map(|_| SIGKILL), None),
    };
    Completed {
        pid: lost.started.as_ref().map_or(0, |started| started.pid),
        reason,
        verdict,
        exit_code,
        signal,
        error: Some(left.text),
        duration_ms: lost.duration.map_or(0, milliseconds),
        cpu_ms: 0,
        max_rss_bytes: 0,
        output: OutputCounts::default(),
        killed_leftovers: left.swept.killed,
        unkillable: left.swept.unkillable,
        warnings: left.doubt.map(unproven).into_iter().collect(),
        claude: None,
        spawn_failure,
    }
}

/// `killed_leftovers` and `unkillable` count what was found, and do not say that there was no more.
fn unproven(doubt: &str) -> Warning {
    Warning { kind: WarningKind::LeftoversUnproven, message: doubt.to_owned() }
}

/// Makes the log whole, brings feed and log to the same end, and adds the terminal event to both. The feed gets it even
/// where the log cannot be written.
fn close_log(lost: &LostTask, mut completed: Box<Completed>, fsync: Fsync) -> Box<Completed> {
    let feed = &lost.feed;
    drop(std::fs::remove_file(feed.log_path().with_file_name(tree_record::FILE_NAME)));
    // The worker makes the log before it starts the task and may not have come to that. A log that exists stays as it is.
    let is_claimed = claim::claim(feed.log_path(), fsync);
    if is_claimed && matches!(lost.failure, Failure::Died) && feed.position().last_seq == 0 {
        completed = Box::new(before_start(*completed));
    }
    let recovered = match recover_log(feed.log_path()) {
        Ok(recovered) => recovered,
        Err(error) => {
            // A task that never had a worker has no log, and why it was not started has been logged.
            if !matches!(lost.failure, Failure::NotStarted(_)) {
                tracing::error!(task_id = lost.task_id, %error, "the log cannot be recovered");
            }
            let (frame, seq) = terminal_frame(feed, &completed);
            feed.append(frame, seq, true);
            return completed;
        }
    };
    completed.output.lines = recovered.output.lines;
    completed.output.bytes = recovered.output.bytes;
    completed.output.truncated_lines = recovered.output.truncated_lines;
    if let Some(started) = &recovered.started {
        completed.pid = started.pid;
        completed.signal = Some(SIGKILL);
    }
    if let (None, Some(started_ms)) = (lost.duration, recovered.started_time_ms) {
        // When the worker died is not known; this was its last sign of life.
        completed.duration_ms = recovered.last_time_ms.saturating_sub(started_ms);
    }
    match publish_undelivered(feed, recovered.end_offset) {
        // The worker had written its terminal event to the log and died before it sent it: that one counts.
        Ok(Some(own)) => return own,
        Ok(None) => {}
        Err(error) => tracing::error!(task_id = lost.task_id, %error, "records were lost"),
    }
    let undelivered = feed.frames_from(recovered.end_offset).unwrap_or_default();
    let (frame, seq) = terminal_frame(feed, &completed);
    let appended =
        LogWriter::reopen(feed.log_path(), recovered.end_offset, fsync).and_then(|mut log| {
            undelivered.iter().try_for_each(|frames| log.append(frames))?;
            log.append(&frame)
        });
    if let Err(error) = appended {
        tracing::error!(task_id = lost.task_id, %error, "the log has no terminal event");
    }
    feed.append(frame, seq, true);
    completed
}

/// For certain nothing of the task ran. A worker that dies before it has done anything dies of the machine's trouble.
fn before_start(completed: Completed) -> Completed {
    Completed {
        exit_code: NOT_STARTED,
        signal: None,
        error: completed.error.map(|text| text + BEFORE_START),
        spawn_failure: Some(SpawnFailureKind::Means),
        ..completed
    }
}

/// Makes the log of a dead writer whole, and logs it where something was cut off.
///
/// # Errors
/// When it cannot be read or cut, or is no log.
pub(crate) fn recover_log(path: &Path) -> Result<Recovered, LogError> {
    let recovered = recover(path)?;
    if let Some(cut) = &recovered.cut {
        let kept = match &cut.kept {
            Kept::Empty => "nothing was in it".to_owned(),
            Kept::In(path) => format!("kept in {}", path.display()),
            Kept::Lost(error) => format!("it could not be kept: {error}"),
        };
        tracing::warn!(
            task_id = task_of_log(path),
            log = %path.display(),
            cut_bytes = cut.bytes,
            kept,
            last_seq = recovered.last_seq,
            "a task log had a torn or damaged end, which was cut off"
        );
    }
    Ok(recovered)
}

/// Publishes the records that the worker wrote to the log but not, or not wholly, to the pipe. Returns the terminal event
/// if it is among them.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn publish_undelivered(
    feed: &Feed,
    end_offset: u64,
) -> Result<Option<Box<Completed>>, LogError> {
    let mut position = feed.position();
    if position.end_offset >= end_offset {
        return Ok(None);
    }
    let mut log = LogReader::open(feed.log_path())?;
    while position.end_offset < end_offset {
        let frames = log.read(position.end_offset, limits::WRITER_TAKE_BYTES)?;
        if frames.is_empty() {
            break;
        }
        let (last_seq, terminal) = last_of(&frames);
        feed.append(frames, last_seq, terminal.is_some());
        if terminal.is_some() {
            return Ok(terminal);
        }
        position = feed.position();
    }
    Ok(None)
}

/// The last record's seq, and the terminal event if it is that.
fn last_of(frames: &Bytes) -> (u64, Option<Box<Completed>>) {
    let mut offset = 0;
    let mut last = frames.slice(0..0);
    while let Ok(Some(length)) = frame_bytes(&frames[offset..]) {
        last = frames.slice(offset..offset + length);
        offset += length;
    }
    let (_, seq) = peek_seqs(&last);
    match decode_frame(last) {
        Ok(Record { body: Body::Event(Event::Completed(completed)), .. }) => (seq, Some(completed)),
        Ok(_) | Err(_) => (seq, None),
    }
}

/// The bytes and the seq of the terminal event.
fn terminal_frame(feed: &Feed, completed: &Completed) -> (Bytes, u64) {
    let seq = feed.position().last_seq + 1;
    let body = Body::Event(Event::Completed(Box::new(completed.clone())));
    let mut frame = Vec::new();
    if let Err(error) = (Record { seq, time_ms: now_ms(), body }).encode(&mut frame) {
        // Its types exclude this. Followers are released all the same.
        let task_id = task_of_log(feed.log_path());
        tracing::error!(task_id, %error, "a terminal event cannot be written");
    }
    (frame.into(), seq)
}

#[cfg(test)]
mod tests;
