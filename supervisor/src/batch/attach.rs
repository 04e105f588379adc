//! Tells a client that is attached to a batch what changes in it.
//!
//! One tokio task an attachment, and one message of it on its way at a time: while the client has not taken it,
//! changes add up, and the next message holds them as they are then. So a slow client costs no memory, and never
//! gets what is old.

use std::sync::Arc;

use cc_protocol::{
    batch::{BatchCompleted, BatchProgress, BatchRow, BatchSummary},
    error::ErrorObject,
    notification::Notification,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use crate::batch::{query, snapshot::Snapshot, stored};
use crate::{
    batch::batches::Batches,
    config::limits,
    delivery::{Outgoing, notification::to_text},
};

/// A client's attachment. Nothing is sent any more when it is dropped.
#[derive(Debug)]
pub struct Following {
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Begins to tell of a batch. What is sent goes to `outgoing`, the queue of the client's connection.
    #[must_use]
    pub fn begin(
        batches: &Arc<Batches>,
        attachment: Attachment,
        outgoing: mpsc::Sender<Box<Outgoing>>,
    ) -> Self {
        let Attachment { batch_id, snapshot } = attachment;
        let follower = Follower { batches: Arc::clone(batches), batch_id, outgoing };
        Self { task: tokio::spawn(follower.run(snapshot)).abort_handle() }
    }

    /// Whether there is nothing more to be sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.task.is_finished()
    }
}

/// Where a client's attachment begins.
#[derive(Debug)]
pub struct Attachment {
    /// To which batch.
    pub batch_id: String,
    /// Its snapshot and the last change that the client's answer knows of; `None`: it was over already.
    snapshot: Option<(Arc<Snapshot>, u64)>,
}

/// Answers `batch.attach`: how the batch stands, and what is to be followed from there.
///
/// # Errors
/// That there is none, or that the database cannot be read.
pub async fn attach(
    batches: &Batches,
    batch_id: String,
) -> Result<(BatchSummary, Attachment), ErrorObject> {
    match batches.get(&batch_id).map(|handle| handle.snapshot) {
        Some(snapshot) => {
            let version = snapshot.version();
            let summary = snapshot.summary(&batches.gates);
            Ok((summary, Attachment { batch_id, snapshot: Some((snapshot, version)) }))
        }
        None => {
            let summary = query::get(batches, &batch_id).await?;
            Ok((summary, Attachment { batch_id, snapshot: None }))
        }
    }
}

struct Follower {
    batches: Arc<Batches>,
    batch_id: String,
    outgoing: mpsc::Sender<Box<Outgoing>>,
}

impl Follower {
    async fn run(self, snapshot: Option<(Arc<Snapshot>, u64)>) {
        let outcome = match &snapshot {
            Some((snapshot, told)) => self.tell_progress(snapshot, *told).await,
            None => Some(()),
        };
        if outcome.is_none() {
            return;
        }
        match self.completed().await {
            Ok(completed) => {
                self.send(&Notification::BatchCompleted(Box::new(completed))).await;
            }
            Err(error) => {
                tracing::error!(batch_id = self.batch_id, error = error.message, "batch.completed")
            }
        }
    }

    /// Until the batch is over. `None`: the client is gone.
    async fn tell_progress(&self, snapshot: &Snapshot, mut told: u64) -> Option<()> {
        let mut updates = snapshot.subscribe();
        loop {
            if snapshot.is_over() {
                return Some(());
            }
            let changed = snapshot.changed_after(told);
            let is_news = !changed.is_empty() || updates.has_changed().ok()?;
            updates.mark_unchanged();
            if !is_news {
                updates.changed().await.ok()?;
                updates.mark_changed();
                continue;
            }
            let (rows, upto) = match self.rows(snapshot, &changed).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::error!(
                        batch_id = self.batch_id,
                        error = error.message,
                        "batch.progress"
                    );
                    (Vec::new(), changed.last().map_or(told, |(version, _)| *version))
                }
            };
            told = upto.max(told);
            let batch = snapshot.summary(&self.batches.gates);
            self.send(&Notification::BatchProgress(Box::new(BatchProgress { batch, rows })))
                .await?;
        }
    }

    /// As many of the changed tasks as fit, those first that changed first; and up to which change they are.
    async fn rows(
        &self,
        snapshot: &Snapshot,
        changed: &[(u64, usize)],
    ) -> Result<(Vec<BatchRow>, u64), ErrorObject> {
        let (mut rows, mut bytes, mut upto) = (Vec::new(), 0, 0);
        let plan = &snapshot.facts().plan;
        for (version, index) in changed.iter().take(limits::BATCH_PROGRESS_ROWS) {
            let (first, end) = (*index, index + 1);
            let (row, _) =
                query::rows_from(&self.batches, &self.batch_id, plan, first, end, usize::MAX)
                    .await?;
            bytes += query::json_bytes(&row);
            if bytes > limits::BATCH_PROGRESS_BYTES && !rows.is_empty() {
                break;
            }
            rows.extend(row);
            upto = *version;
        }
        rows.sort_by_key(|row| row.index);
        Ok((rows, upto))
    }

    async fn completed(&self) -> Result<BatchCompleted, ErrorObject> {
        let row = stored::row(&self.batches, &self.batch_id).await?;
        let batch = stored::last_summary(&row)?;
        let plan = stored::plan_of(&row)?;
        let count = plan.tasks.len();
        let limit = limits::LIST_BYTES;
        let (rows, next) =
            query::rows_from(&self.batches, &self.batch_id, &plan, 0, count, limit).await?;
        Ok(BatchCompleted { batch, rows, rows_omitted: next < count })
    }

    /// Returns when it was handed to the socket. `None`: there is none any more.
    async fn send(&self, notification: &Notification<'_>) -> Option<()> {
        let (taken, was_taken) = oneshot::channel();
        let text = to_text(notification);
        self.outgoing.send(Box::new(Outgoing::Awaited(text, taken))).await.ok()?;
        was_taken.await.ok()
    }
}
