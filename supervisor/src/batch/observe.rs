//! Follows one task of a batch to its end, and tells the batch's owner. One tokio task a running job.

use std::sync::Arc;

use cc_batch::{Job, Scope, Ticket};
use cc_state::TaskRow;
use tokio::sync::mpsc;

use crate::batch::{
    attempt_end::{Collector, End},
    gates::Credential,
    messages::Message,
};
use crate::{
    batch::batches::Batches,
    config::limits,
    ops::clock::now_ms,
    task::{
        TaskHandle,
        feed::{Cursor, Item},
    },
};

/// A running task that has passed a gate. Nobody follows it through while it seems to have met a limit.
#[derive(Debug)]
pub struct AtGate {
    /// All gates.
    pub batches: Arc<Batches>,
    /// Which one.
    pub credential: Credential,
    /// As whom it passed.
    pub ticket: Ticket,
}

impl AtGate {
    fn tell(&self, suspected: Option<&Scope>) {
        let gates = &self.batches.gates;
        match suspected {
            Some(scope) => gates.suspect(&self.credential, self.ticket.clone(), scope.clone()),
            None => gates.clear(&self.credential, &self.ticket),
        }
    }
}

/// Tells the owner, and the gate, of everything that matters of a task that is not over; last of all the owner of its
/// end, when its worker is gone.
pub async fn watch(
    handle: TaskHandle,
    job: Job,
    at_gate: Option<AtGate>,
    messages: mpsc::Sender<Message>,
) {
    let task_id = handle.task_id().to_owned();
    let mut cursor = handle.feed().cursor_after(0);
    let mut collector = Collector::new();
    let mut was_told = false;
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
                at_gate.tell(suspected.as_ref());
            }
        }
        if collector.is_auth_refused() && !was_told {
            was_told = true;
            let task_id = task_id.clone();
            // An owner that is gone does not care.
            messages.send(Message::AuthRefused { job, task_id }).await.ok();
        }
    }
    handle.is_over().await;
    let ended = handle.ended();
    let at_ms = ended.map_or_else(now_ms, |ended| ended.at_ms);
    let completed = ended.map(|ended| ended.completed.clone());
    let end = Box::new(collector.end(completed, at_ms));
    messages.send(Message::Ended { job, task_id, end }).await.ok();
}

/// How a task ended that is over.
pub async fn end_of(batches: &Batches, row: &TaskRow) -> End {
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

/// The text of a task that is over, from its log, and whether it is not all of it; nothing of it where there is no
/// log any more. The whole log is read for an agent, whose result is its last line.
pub async fn text_of(batches: &Batches, task_id: &str, is_agent: bool) -> (Option<String>, bool) {
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
