//! What happens after a worker has failed: its leftovers are killed, its log is made whole, what the pipe
//! did not deliver is published, and the terminal event that it owed is written.
//!
//! Called by [`crate::task::owner`], once per failed worker. However much of it fails, the feed ends with exactly
//! one terminal event.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cc_events::{Completed, EndReason, Event, OutputCounts, SpawnFailureKind, Started, Verdict};
use cc_link::{
    record::{Body, Record, decode_frame, frame_bytes, peek_seqs},
    spec::Fsync,
};
use cc_proctree::{kill::Swept, procfs::Process};
use cc_tasklog::{LogError, LogReader, LogWriter, Recovered, recover};

use crate::{
    config::limits,
    ops::clock::now_ms,
    task::{context::TaskContext, feed::Feed},
};

const SIGKILL: i32 = 9;
/// As env(1) has it for a failure that is not the program's. With [`EndReason::WorkerDied`] it is the mark of
/// [`Failure::TooLate`].
const NOT_STARTED: i32 = 125;
/// Added to what is said of a worker's end where it had not made its task's log.
const BEFORE_START: &str = ", before it had started the task";
/// Added to what is said of a worker's end where the parent that its orphans would have had is gone.
const KEEPER_LOST: &str = "; the keeper of the workers had died before, so a process of the task that had cleared its \
                           environment may have been missed";

/// How a task lost its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There never was one; for want of this, if it is something that comes back.
    NotStarted(Option<SpawnFailureKind>),
    /// It died before it had made the log, which it does before it starts the task; or it lives and finds that
    /// there is a log now, and does not start it. So for certain nothing of the task has run, or ever will.
    TooLate,
    /// It died, or was killed because it had failed.
    Died,
}

/// Whether a task for certain never began: its end is that of [`Failure::TooLate`].
#[must_use]
pub fn never_began(completed: &Completed) -> bool {
    completed.reason == EndReason::WorkerDied && completed.exit_code == NOT_STARTED
}

/// A task whose worker is gone and reaped.
#[derive(Debug)]
pub struct LostTask {
    /// Its id.
    pub task_id: String,
    /// Where its cgroup is, if it got that far.
    pub leaf: Option<PathBuf>,
    /// Its records as far as they are known.
    pub feed: Arc<Feed>,
    /// Its main process, if it ran.
    pub started: Option<Started>,
    /// Since its worker was started. `None`: that was done by an earlier supervisor, and only the log tells.
    pub duration: Option<Duration>,
    /// What became of its worker.
    pub failure: Failure,
    /// Its worker, where that is known.
    pub worker_pid: Option<i32>,
    /// Who was seen below that worker before it was killed.
    pub known: Vec<Process>,
    /// What happened, for people; `None`: how the worker ended says it.
    pub text: Option<String>,
}

/// Does all that, and returns the terminal event.
pub async fn write_terminal_event(
    context: &Arc<TaskContext>,
    mut lost: LostTask,
) -> Box<Completed> {
    let (text, swept) = match lost.failure {
        Failure::NotStarted(_) => (lost.text.take().unwrap_or_default(), Swept::default()),
        Failure::TooLate | Failure::Died => end_leftovers(context, &mut lost).await,
    };
    if swept.unkillable > 0 {
        tracing::error!(task_id = lost.task_id, swept.unkillable, "processes survived SIGKILL");
    }
    let feed = Arc::clone(&lost.feed);
    let completed = Box::new(completed(&lost, text, swept));
    let fallback = completed.clone();
    let fsync = context.config.fsync;
    match tokio::task::spawn_blocking(move || close_log(&lost, completed, fsync)).await {
        Ok(completed) => completed,
        Err(error) => {
            tracing::error!(%error, "closing a task's log failed");
            let (frame, seq) = terminal_frame(&feed, &fallback);
            feed.append(frame, seq, true);
            fallback
        }
    }
}

/// Has the worker's keeper end what it left, and looks for the rest. Says what there is to be said of both.
async fn end_leftovers(context: &TaskContext, lost: &mut LostTask) -> (String, Swept) {
    // Nobody has the number 0: then the answer is that all that keepers have found is ended.
    let remains = context.spawner.keepers().settle(lost.worker_pid.unwrap_or(0)).await;
    let known = std::mem::take(&mut lost.known);
    let sweep = context.spawner.sweep(&lost.task_id, lost.leaf.as_deref(), known).await;
    let swept = sweep.unwrap_or_else(|error| {
        tracing::error!(task_id = lost.task_id, %error, "the sweep failed");
        Swept::default()
    });
    let text = lost.text.take();
    let mut text = text.unwrap_or_else(|| format!("the worker {}", remains.describe()));
    // Who knows how it ended was its parent, and has ended what it left.
    if remains.is_keeper_lost && remains.end.is_none() && lost.leaf.is_none() {
        text += KEEPER_LOST;
    }
    tracing::warn!(task_id = lost.task_id, worker_pid = lost.worker_pid, text, "worker failed");
    (text, remains.swept + swept)
}

/// The terminal event that the worker owed.
fn completed(lost: &LostTask, text: String, swept: Swept) -> Completed {
    let (reason, verdict, exit_code, signal) = match lost.failure {
        Failure::NotStarted(_) => (EndReason::SpawnFailed, Verdict::SpawnFailed, NOT_STARTED, None),
        Failure::TooLate => (EndReason::WorkerDied, Verdict::WorkerDied, NOT_STARTED, None),
        Failure::Died => {
            let signal = lost.started.as_ref().map(|_| SIGKILL);
            (EndReason::WorkerDied, Verdict::WorkerDied, -SIGKILL, signal)
        }
    };
    Completed {
        pid: lost.started.as_ref().map_or(0, |started| started.pid),
        reason,
        verdict,
        exit_code,
        signal,
        error: Some(text),
        duration_ms: lost
            .duration
            .map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        cpu_ms: 0,
        max_rss_bytes: 0,
        output: OutputCounts::default(),
        killed_leftovers: swept.killed,
        unkillable: swept.unkillable,
        warnings: Vec::new(),
        claude: None,
        spawn_failure: match lost.failure {
            Failure::NotStarted(want) => want,
            Failure::TooLate | Failure::Died => None,
        },
    }
}

/// Makes the log whole, brings feed and log to the same end, and adds the terminal event to both. What cannot
/// be done to the log is done to the feed all the same.
fn close_log(lost: &LostTask, mut completed: Box<Completed>, fsync: Fsync) -> Box<Completed> {
    let feed = &lost.feed;
    // The worker makes the log before it starts the task; it may not have come to that. If there is one, this changes
    // nothing.
    let is_made_here = LogWriter::create(feed.log_path(), fsync).is_ok();
    if is_made_here && lost.failure == Failure::Died && feed.position().last_seq == 0 {
        completed = Box::new(before_start(*completed));
    }
    let recovered = match recover_log(feed.log_path()) {
        Ok(recovered) => recovered,
        Err(error) => {
            tracing::error!(task_id = lost.task_id, %error, "the log cannot be recovered");
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
        // The last sign of life; when it died nobody knows.
        completed.duration_ms = recovered.last_time_ms.saturating_sub(started_ms);
    }
    match publish_undelivered(feed, recovered.end_offset) {
        // The worker had written the terminal event and could not say so any more: that one counts.
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

/// For certain nothing of the task ran. What a worker dies of that has done nothing yet is the machine's doing.
fn before_start(completed: Completed) -> Completed {
    Completed {
        exit_code: NOT_STARTED,
        signal: None,
        error: completed.error.map(|text| text + BEFORE_START),
        spawn_failure: Some(SpawnFailureKind::Means),
        ..completed
    }
}

/// Makes the log of a dead writer whole, and says so where something was cut off.
///
/// # Errors
/// When it cannot be read or cut, or is no log.
pub fn recover_log(path: &Path) -> Result<Recovered, LogError> {
    let recovered = recover(path)?;
    if recovered.cut_bytes > 0 {
        tracing::warn!(
            log = %path.display(),
            cut_bytes = recovered.cut_bytes,
            last_seq = recovered.last_seq,
            "a task log had a torn or damaged end, which was cut off"
        );
    }
    Ok(recovered)
}

/// Publishes what the worker wrote to the log but not, or not wholly, to the pipe. Returns the terminal event
/// if it is there.
///
/// # Errors
/// When the log cannot be read.
pub fn publish_undelivered(
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
        // Excluded by its types; followers are released all the same.
        tracing::error!(%error, "a terminal event cannot be written");
    }
    (frame.into(), seq)
}

#[cfg(test)]
mod tests;
