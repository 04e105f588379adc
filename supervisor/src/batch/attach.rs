//! `batch.attach`: sends the changes of a batch to a client.
//!
//! Each attachment is one tokio task with at most one message in flight. While the client has not taken it, changes add
//! up, and the next message has the state of that moment. So a slow client costs no memory and never reads old state.

use std::sync::Arc;

use cc_protocol::{
    batch::{BatchCompleted, BatchProgress, BatchRow, BatchSummary},
    notification::Notification,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use crate::{
    batch::{batches::Batches, error::BatchError, query, snapshot::Snapshot, stored},
    config::limits,
    delivery::{Outgoing, notification::to_text},
};

/// A client's attachment. Dropping it stops the messages.
#[derive(Debug)]
pub(crate) struct Following {
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Begins to follow a batch. Messages go to `outgoing`, the queue of the client's connection.
    #[must_use]
    pub(crate) fn begin(
        batches: &Arc<Batches>,
        attachment: Attachment,
        outgoing: mpsc::Sender<Box<Outgoing>>,
    ) -> Self {
        let Attachment { batch_id, snapshot } = attachment;
        let follower = Follower { batches: Arc::clone(batches), batch_id, outgoing };
        Self { task: tokio::spawn(follower.run(snapshot)).abort_handle() }
    }

    /// Whether everything was sent.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.task.is_finished()
    }
}

/// The point from which a client follows a batch.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) batch_id: String,
    /// The snapshot and the version that the answer shows; `None` if the batch was over.
    snapshot: Option<(Arc<Snapshot>, u64)>,
}

/// Answers `batch.attach`: the summary, and the point from which to follow the batch.
pub(crate) async fn attach(
    batches: &Batches,
    batch_id: String,
) -> Result<(BatchSummary, Attachment), BatchError> {
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
        let mut followed = snapshot;
        while let Some((snapshot, sent)) = followed {
            if self.send_progress(&snapshot, sent).await.is_none() {
                return;
            }
            followed = self.replacement(&snapshot).map(|snapshot| (snapshot, 0));
        }
        match self.completed().await {
            Ok(completed) => {
                self.send(&Notification::BatchCompleted(Box::new(completed))).await;
            }
            Err(error) => {
                tracing::error!(batch_id = self.batch_id, %error, "the end of a batch cannot be sent to a client")
            }
        }
    }

    /// The snapshot of the batch's new owner, if it has another one.
    fn replacement(&self, snapshot: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let current = self.batches.get(&self.batch_id)?.snapshot;
        (!Arc::ptr_eq(&current, snapshot)).then_some(current)
    }

    /// Whether the batch has an owner that changes this snapshot.
    fn is_current(&self, snapshot: &Arc<Snapshot>) -> bool {
        self.batches
            .get(&self.batch_id)
            .is_some_and(|handle| Arc::ptr_eq(&handle.snapshot, snapshot))
    }

    /// Returns when the batch is over, or its owner has gone; `None` if the client is gone.
    async fn send_progress(&self, snapshot: &Arc<Snapshot>, mut sent: u64) -> Option<()> {
        let mut updates = snapshot.subscribe();
        loop {
            if snapshot.is_over() || !self.is_current(snapshot) {
                return Some(());
            }
            let changed = snapshot.changed_after(sent);
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
                        %error,
                        "the progress of a batch cannot be sent to a client"
                    );
                    (Vec::new(), changed.last().map_or(sent, |(version, _)| *version))
                }
            };
            sent = upto.max(sent);
            let batch = snapshot.summary(&self.batches.gates);
            self.send(&Notification::BatchProgress(Box::new(BatchProgress { batch, rows })))
                .await?;
        }
    }

    /// The rows of as many changed tasks as fit, in the order of their changes; and the version of the last of them.
    async fn rows(
        &self,
        snapshot: &Snapshot,
        changed: &[(u64, usize)],
    ) -> Result<(Vec<BatchRow>, u64), BatchError> {
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

    async fn completed(&self) -> Result<BatchCompleted, BatchError> {
        let row = stored::row(&self.batches, &self.batch_id).await?;
        let batch = stored::last_summary(&row)?;
        let plan = stored::plan_of(&row)?;
        let count = plan.tasks.len();
        let limit = limits::LIST_BYTES;
        let (rows, next) =
            query::rows_from(&self.batches, &self.batch_id, &plan, 0, count, limit).await?;
        Ok(BatchCompleted { batch, rows, rows_omitted: next < count })
    }

    /// Returns when the message was handed to the socket; `None` if the socket is closed.
    async fn send(&self, notification: &Notification<'_>) -> Option<()> {
        let (taken, was_taken) = oneshot::channel();
        let text = to_text(notification);
        self.outgoing.send(Box::new(Outgoing::Awaited(text, taken))).await.ok()?;
        was_taken.await.ok()
    }
}
