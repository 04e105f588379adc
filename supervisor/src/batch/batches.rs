//! The batches that are not over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cc_protocol::error::{ErrorCode, ErrorObject};
use cc_state::Change;
use tokio::sync::{mpsc, watch as tokio_watch};

use crate::batch::{gates::Gates, messages::Message, money::Totals, snapshot::Snapshot};
use crate::{config::limits, task::context::TaskContext};

/// The batches that are not over.
#[derive(Debug)]
pub struct Batches {
    /// What their tasks are started with.
    pub(super) tasks: Arc<TaskContext>,
    handles: Mutex<HashMap<String, BatchHandle>>,
    /// The gates that their Claude tasks pass.
    pub gates: Gates,
    /// What conversations have cost so far.
    totals: Mutex<Totals>,
    /// The tasks of earlier supervisors have owners, or ends.
    are_tasks_seen_to: tokio_watch::Sender<bool>,
}

/// What everybody but its owner holds of a batch.
#[derive(Clone, Debug)]
pub struct BatchHandle {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) messages: mpsc::Sender<Message>,
}

impl Batches {
    /// None yet.
    #[must_use]
    pub fn new(tasks: Arc<TaskContext>) -> Self {
        let gates = Gates::new(tasks.config.claude_jobs);
        gates.set_environment(&tasks.environment);
        Self {
            tasks,
            handles: Mutex::default(),
            gates,
            totals: Mutex::default(),
            are_tasks_seen_to: tokio_watch::Sender::new(false),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.handles().len()
    }

    /// From now on whatever a batch left running has an owner or an end.
    pub fn tasks_are_seen_to(&self) {
        self.are_tasks_seen_to.send_replace(true);
    }

    pub(super) async fn wait_for_tasks(&self) {
        let mut seen_to = self.are_tasks_seen_to.subscribe();
        // The sender lives as long as this.
        drop(seen_to.wait_for(|seen_to| *seen_to).await);
    }

    pub(super) fn get(&self, batch_id: &str) -> Option<BatchHandle> {
        self.handles().get(batch_id).cloned()
    }

    pub(super) fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.handles().values().map(|handle| Arc::clone(&handle.snapshot)).collect()
    }

    pub(super) fn has_room(&self) -> Result<(), ErrorObject> {
        if self.count() < limits::BATCHES {
            return Ok(());
        }
        let limit = limits::BATCHES;
        let message = format!("{limit} batches are under way, and no more may: try again later");
        Err(ErrorObject::new(ErrorCode::QueueFull, message).with("limit", limit))
    }

    /// Makes the handle of a batch, and what its owner needs.
    pub(super) fn insert(
        &self,
        snapshot: Arc<Snapshot>,
    ) -> (mpsc::Receiver<Message>, mpsc::Sender<Message>) {
        let (messages, queue) = mpsc::channel(limits::BATCH_QUEUE_MESSAGES);
        let batch_id = snapshot.batch_id().to_owned();
        let handle = BatchHandle { snapshot, messages: messages.clone() };
        self.handles().insert(batch_id, handle);
        (queue, messages)
    }

    pub(super) fn remove(&self, batch_id: &str) {
        self.handles().remove(batch_id);
    }

    /// Something that all of them show has changed.
    pub(super) fn touch_all(&self) {
        for snapshot in self.snapshots() {
            snapshot.touch();
        }
    }

    /// Has the database forget the batches that ended long ago.
    pub async fn prune(&self) {
        let age_ms = u64::try_from(self.tasks.config.keep.age.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.tasks.retention.now_ms().saturating_sub(age_ms);
        self.tasks.store.write(vec![Change::BatchesPruned { before_ms }]).await;
    }

    /// Held for a moment only, and never while waiting.
    pub(super) fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handles(&self) -> MutexGuard<'_, HashMap<String, BatchHandle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer when there is no such batch.
pub fn no_such_batch(batch_id: &str) -> ErrorObject {
    let shown: String = batch_id.chars().take(64).collect();
    let message = format!("no such batch: {shown:?}; it may have been removed by retention");
    ErrorObject::new(ErrorCode::NoSuchBatch, message).with("batch_id", shown)
}
