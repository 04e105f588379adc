//! The batches that are not over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cc_state::Change;
use tokio::sync::{mpsc, oneshot, watch as tokio_watch};

use crate::{
    batch::{
        error::BatchError, gates::Gates, messages::Message, money::Totals, snapshot::Snapshot,
    },
    config::limits,
    ops::clock,
    task::context::TaskContext,
};

#[derive(Debug)]
pub(crate) struct Batches {
    pub(super) tasks: Arc<TaskContext>,
    handles: Mutex<HashMap<String, BatchHandle>>,
    /// The gates that Claude tasks of all batches pass.
    pub(crate) gates: Gates,
    /// What each conversation has cost so far.
    totals: Mutex<Totals>,
    /// Each task of an earlier supervisor has an owner or an end.
    are_tasks_recovered: tokio_watch::Sender<bool>,
}

/// A batch as the rest of the room reaches it: its snapshot, and the queue of its owner.
#[derive(Clone, Debug)]
pub(crate) struct BatchHandle {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) messages: mpsc::Sender<Message>,
}

impl Batches {
    #[must_use]
    pub(crate) fn new(tasks: Arc<TaskContext>) -> Self {
        let gates = Gates::new(tasks.config().claude_jobs);
        gates.set_environment(&tasks.settings.environment());
        Self {
            tasks,
            handles: Mutex::default(),
            gates,
            totals: Mutex::default(),
            are_tasks_recovered: tokio_watch::Sender::new(false),
        }
    }

    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.handles().len()
    }

    /// Every task that a batch of an earlier supervisor left running has an owner or an end: batches may continue.
    pub(crate) fn tasks_are_recovered(&self) {
        self.are_tasks_recovered.send_replace(true);
    }

    pub(super) async fn wait_for_tasks(&self) {
        let mut recovered = self.are_tasks_recovered.subscribe();
        // The sender lives as long as this.
        drop(recovered.wait_for(|recovered| *recovered).await);
    }

    /// Waits until every owner has dealt with what it was told so far.
    pub(crate) async fn settle(&self) {
        let owners: Vec<_> = self.handles().values().map(|it| it.messages.clone()).collect();
        let mut settled = Vec::new();
        for owner in owners {
            let (done, is_done) = oneshot::channel();
            // An owner whose batch is over has no queue.
            if owner.send(Message::Settle(done)).await.is_ok() {
                settled.push(is_done);
            }
        }
        for is_done in settled {
            is_done.await.ok();
        }
    }

    /// The tasks that have begun and are not over, their hooks included.
    #[must_use]
    pub(crate) fn under_way(&self) -> usize {
        self.snapshots().iter().map(|snapshot| snapshot.under_way()).sum()
    }

    pub(super) fn get(&self, batch_id: &str) -> Option<BatchHandle> {
        self.handles().get(batch_id).cloned()
    }

    pub(super) fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.handles().values().map(|handle| Arc::clone(&handle.snapshot)).collect()
    }

    pub(super) fn has_room(&self) -> Result<(), BatchError> {
        if self.count() < limits::BATCHES { Ok(()) } else { Err(BatchError::TooManyBatches) }
    }

    /// Adds a batch. Returns both ends of its owner's queue: the owner sends messages to itself, too.
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

    /// Something that every batch shows but none owns has changed, such as a gate.
    pub(super) fn touch_all(&self) {
        for snapshot in self.snapshots() {
            snapshot.touch();
        }
    }

    /// Removes the batches from the database that ended longer ago than the retention keeps them.
    pub(crate) async fn prune(&self) {
        let age_ms = clock::milliseconds(self.tasks.config().keep.age);
        let before_ms = self.tasks.retention.now_ms().saturating_sub(age_ms);
        self.tasks.store.write(vec![Change::BatchesPruned { before_ms }]).await;
    }

    /// The guard is never held across an await.
    pub(super) fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handles(&self) -> MutexGuard<'_, HashMap<String, BatchHandle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
