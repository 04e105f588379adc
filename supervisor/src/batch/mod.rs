//! Batches: lists of tasks that run by themselves, whatever becomes of their clients and of this supervisor.
//!
//! What happens next in a batch is decided by the pure state machine of [`cc_batch`]. Here it is driven: each batch
//! that is not over has one `owner`, which `submit` or [`restore`] begins. It stores every step before it carries
//! it out, starts tasks as `start` says, and hears of their ends from a `watch` each. `gates` lets Claude tasks
//! pass, one credential at a time, over all batches. A `snapshot` is what everybody else sees of a batch; `tail` keeps the last words of
//! an attempt; `record` and `show` put all that into the words of the wire, `follow` tells the clients that are attached, `whole_result` gives
//! the long texts.
//!
//! The database is the truth about a batch, as the task logs are about its tasks: nothing is done before the state
//! that follows from it is stored. Called by [`crate::session::batch_calls`] and [`crate::daemon`].

mod after_result;
mod attach;
mod attempt_end;
mod attempts;
mod gates;
mod hooks;
mod last_words;
mod launch;
mod messages;
mod money;
mod observe;
mod owner;
mod preconditions;
mod query;
mod render;
mod result;
mod snapshot;
mod submit;
mod time_zone;
mod wall_clock;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cc_protocol::error::{ErrorCode, ErrorObject};
use cc_state::{BatchRow, Change};
use tokio::sync::{mpsc, oneshot, watch as tokio_watch};

pub use self::{
    attach::{Attachment, Following, attach},
    gates::{GateFacts, Gates},
    launch::shape,
    query::{get, list, rows},
    result::result,
    submit::{resume, submit},
};
use self::{messages::Message, money::Totals, owner::Owner, snapshot::Snapshot};
use crate::{config::limits, task::context::TaskContext};

/// The batches that are not over.
#[derive(Debug)]
pub struct Batches {
    /// What their tasks are started with.
    tasks: Arc<TaskContext>,
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
    snapshot: Arc<Snapshot>,
    messages: mpsc::Sender<Message>,
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

    async fn wait_for_tasks(&self) {
        let mut seen_to = self.are_tasks_seen_to.subscribe();
        // The sender lives as long as this.
        drop(seen_to.wait_for(|seen_to| *seen_to).await);
    }

    fn get(&self, batch_id: &str) -> Option<BatchHandle> {
        self.handles().get(batch_id).cloned()
    }

    fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.handles().values().map(|handle| Arc::clone(&handle.snapshot)).collect()
    }

    fn has_room(&self) -> Result<(), ErrorObject> {
        if self.count() < limits::BATCHES {
            return Ok(());
        }
        let limit = limits::BATCHES;
        let message = format!("{limit} batches are under way, and no more may: try again later");
        Err(ErrorObject::new(ErrorCode::QueueFull, message).with("limit", limit))
    }

    /// Makes the handle of a batch, and what its owner needs.
    fn insert(&self, snapshot: Arc<Snapshot>) -> (mpsc::Receiver<Message>, mpsc::Sender<Message>) {
        let (messages, queue) = mpsc::channel(limits::BATCH_QUEUE_MESSAGES);
        let batch_id = snapshot.batch_id().to_owned();
        let handle = BatchHandle { snapshot, messages: messages.clone() };
        self.handles().insert(batch_id, handle);
        (queue, messages)
    }

    fn remove(&self, batch_id: &str) {
        self.handles().remove(batch_id);
    }

    /// Something that all of them show has changed.
    fn touch_all(&self) {
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
    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<String, BatchHandle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes on with the batches of earlier supervisors, as soon as their tasks are seen to. `rows`: those that are
/// not over.
pub async fn restore(batches: &Arc<Batches>, rows: Vec<BatchRow>) {
    for row in rows {
        let batch_id = row.id.clone();
        match query::load(batches, row).await {
            Ok(loaded) => Owner::restore(batches, loaded),
            Err(error) => tracing::error!(batch_id, error, "a batch cannot be gone on with"),
        }
    }
    tokio::spawn(gates::keep(Arc::clone(batches)));
}

/// The answer when there is no such batch.
fn no_such_batch(batch_id: &str) -> ErrorObject {
    let shown: String = batch_id.chars().take(64).collect();
    let message = format!("no such batch: {shown:?}; it may have been removed by retention");
    ErrorObject::new(ErrorCode::NoSuchBatch, message).with("batch_id", shown)
}

/// Opens what limits have shut, before its time: all of it, or one by its id. One task begins at once to see whether
/// the limit is over. Says which ones were opened.
///
/// # Errors
/// That there is no such gate, or that it is open.
pub async fn open_gates(batches: &Batches, id: Option<&str>) -> Result<Vec<String>, ErrorObject> {
    let opened = batches.gates.open(id)?;
    let owners: Vec<mpsc::Sender<Message>> =
        batches.handles().values().map(|handle| handle.messages.clone()).collect();
    for facts in &opened {
        tracing::info!(gate_id = facts.id(), "a gate is opened before its time");
        for owner in &owners {
            let credential = facts.credential.clone();
            let message = Message::GateOpened { credential, scope: facts.scope.clone() };
            // A batch that is over waits for nothing.
            owner.send(message).await.ok();
        }
    }
    batches.touch_all();
    Ok(opened.iter().map(GateFacts::id).collect())
}

/// Asks for a batch's end.
///
/// # Errors
/// That there is none, or that it is over.
pub async fn cancel(batches: &Batches, batch_id: &str) -> Result<(), ErrorObject> {
    let over =
        || ErrorObject::new(ErrorCode::NoProcess, "this batch is over").with("batch_id", batch_id);
    let Some(handle) = batches.get(batch_id) else {
        let id = batch_id.to_owned();
        let row = batches.tasks.store.read(move |db| db.batch(&id)).await;
        return match row.map_err(|error| crate::task::lookup::failed(&error))? {
            Some(_) => Err(over()),
            None => Err(no_such_batch(batch_id)),
        };
    };
    let (done, is_done) = oneshot::channel();
    handle.messages.send(Message::Cancel(done)).await.map_err(|_| over())?;
    is_done.await.map_err(|_| over())
}
