//! Follows the records of one job to its end and reports to the batch's owner. One tokio task for each running job.

use std::{panic::AssertUnwindSafe, sync::Arc};

use cc_batch::{Job, Scope, Ticket};
use cc_state::TaskRow;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use crate::{
    batch::{
        attempt_end::{Collector, JobEnd},
        batches::Batches,
        gates::Credential,
        messages::Message,
    },
    config::limits,
    ops::clock::now_ms,
    task::{
        TaskHandle,
        feed::{Cursor, Item},
    },
};

/// A running task that has passed a gate. While it seems to have met a limit, the gate admits no other task.
#[derive(Debug)]
pub(super) struct AtGate {
    pub(super) batches: Arc<Batches>,
    pub(super) credential: Credential,
    pub(super) ticket: Ticket,
}

impl AtGate {
    fn report(&self, suspected: Option<&Scope>) {
        let gates = &self.batches.gates;
        match suspected {
            Some(scope) => gates.suspect(&self.credential, self.ticket.clone(), scope.clone()),
            None => gates.clear(&self.credential, &self.ticket),
        }
    }
}

/// Reports refused credentials and suspected limits of a running task, and its end when its worker is gone.
pub(super) async fn watch(
    handle: TaskHandle,
    job: Job,
    at_gate: Option<AtGate>,
    messages: mpsc::Sender<Message>,
) {
    let task_id = handle.task_id().to_owned();
    let following = follow(&handle, job, at_gate, &messages);
    let collected = AssertUnwindSafe(following).catch_unwind().await;
    handle.is_over().await;
    let ended = handle.ended();
    let at_ms = ended.map_or_else(now_ms, |ended| ended.at_ms);
    let completed = ended.map(|ended| ended.completed.clone());
    // After a panic the terminal event alone says how it ended.
    let collector = collected.unwrap_or_else(|_| Collector::new());
    let end = Box::new(collector.end(completed, at_ms));
    // The owner may be gone.
    messages.send(Message::Ended { job, task_id, end }).await.ok();
}

async fn follow(
    handle: &TaskHandle,
    job: Job,
    at_gate: Option<AtGate>,
    messages: &mpsc::Sender<Message>,
) -> Collector {
    let task_id = handle.task_id();
    let mut cursor = handle.feed().cursor_after(0);
    let mut collector = Collector::new();
    let mut was_reported = false;
    let mut suspected: Option<Scope> = None;
    while let Some(item) = cursor.next(limits::WRITER_TAKE_BYTES).await {
        match item {
            Item::Frames(frames) => collector.take(&frames),
            Item::Lost { bytes, error } => {
                tracing::warn!(task_id, bytes, error, "a part of a log is missing");
            }
        }
        if collector.suspected_limit() != suspected.as_ref() {
            suspected = collector.suspected_limit().cloned();
            if let Some(at_gate) = &at_gate {
                at_gate.report(suspected.as_ref());
            }
        }
        if collector.is_auth_refused() && !was_reported {
            was_reported = true;
            let task_id = task_id.to_owned();
            // The owner may be gone.
            messages.send(Message::AuthRefused { job, task_id }).await.ok();
        }
    }
    collector
}

/// The end of a task that is over, from its log.
pub(super) async fn end_of(batches: &Batches, row: &TaskRow) -> JobEnd {
    let at_ms = row.ended.as_ref().map_or_else(now_ms, |ended| ended.at_ms);
    let mut cursor = Cursor::over_log(batches.tasks.log_path(&row.accepted.id), 0);
    let mut collector = Collector::new();
    while let Some(item) = cursor.next(limits::WRITER_TAKE_BYTES).await {
        match item {
            Item::Frames(frames) => {
                collector.take(&frames);
            }
            Item::Lost { .. } => break,
        }
    }
    collector.end(row.completed(), at_ms)
}

/// The text of a task that is over, from its log, and whether a part of it is missing. The whole log of an agent is
/// read: its result is the last line.
pub(super) async fn text_of(
    batches: &Batches,
    task_id: &str,
    is_agent: bool,
) -> (Option<String>, bool) {
    let mut cursor = Cursor::over_log(batches.tasks.log_path(task_id), 0);
    let mut collector = Collector::new();
    let mut is_part_missing = false;
    while let Some(item) = cursor.next(limits::WRITER_TAKE_BYTES).await {
        match item {
            Item::Frames(frames) => {
                collector.take(&frames);
            }
            Item::Lost { .. } => {
                is_part_missing = true;
                break;
            }
        }
        if !is_agent && collector.has_all_of_a_programs_text() {
            break;
        }
    }
    let (text, was_cut) = collector.into_text();
    (text, was_cut || is_part_missing)
}
