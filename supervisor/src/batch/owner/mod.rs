//! The owner of one batch: drives its state machine.
//!
//! ```text
//!   message, time ──▶ record ──▶ Batch::step ──▶ stored ──▶ snapshot ──▶ effects ──▶ tasks, gates, timer
//!                                    ▲                                  │
//!                                    └────── what follows at once ──────┘
//! ```
//! One tokio task per batch that is not over. It waits for the database before it does anything, and for nothing
//! else; when the supervisor stops it does nothing more, so that what the stop does to its tasks is not taken for
//! an end: the next supervisor goes on from what is stored.

mod cost;
mod effects;
mod ended;
mod gate;
mod recall;
mod start;
mod step;
mod unavailable;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use cc_batch::{Batch, Input, Job, Rules, Step, life::Fate};
use tokio::{
    sync::{mpsc, watch as tokio_watch},
    time::sleep,
};

use crate::batch::{
    attempts::Record,
    messages::Message,
    preconditions::Preconditions,
    snapshot::Snapshot,
    stored::Loaded,
    wall_clock::{self, WallClock},
};
use crate::{
    batch::batches::Batches,
    ops::{clock::now_ms, uptime},
};

/// One batch's owner.
#[derive(Debug)]
pub struct Owner {
    batches: Arc<Batches>,
    snapshot: Arc<Snapshot>,
    rules: Rules,
    /// Taken only while it goes a step.
    batch: Option<Batch>,
    /// Without long texts, but for those of `dirty` tasks.
    records: Vec<Record>,
    /// Whose record is another one than the stored one.
    dirty: BTreeSet<usize>,
    /// Whole results that are to be stored, because another task refers to them.
    results: Vec<(usize, String)>,
    started_ms: Option<u64>,
    messages: mpsc::Receiver<Message>,
    to_self: mpsc::Sender<Message>,
    /// What follows at once.
    inputs: VecDeque<Input>,
    wake_at_ms: Option<u64>,
    /// Whether what its tasks are started with was there.
    there: Preconditions,
    /// Jobs that have met a limit and leave the gate when it is shut: nobody slips through before.
    leaving: Vec<Job>,
    /// Since when hooks cannot be started for want of something.
    hooks_want_since: Option<Instant>,
    /// By what the times of the batch move along.
    wall: WallClock,
    /// Jobs that were admitted and found no room among the supervisor's tasks.
    roomless: VecDeque<(Job, String)>,
    room: tokio_watch::Receiver<u64>,
    is_over: bool,
}

impl Owner {
    /// Begins a batch that was just stored. `begun` is its first step.
    pub fn begin(batches: &Arc<Batches>, snapshot: Snapshot, rules: Rules, begun: Step) {
        let count = begun.batch.tasks.len();
        let mut owner = Self::new(batches, snapshot, rules, vec![Record::default(); count]);
        tokio::spawn(async move {
            owner.look().await;
            owner.carry_out(begun).await;
            owner.follow_inputs().await;
            owner.run().await;
        });
    }

    /// Goes on with a batch of an earlier supervisor.
    pub fn restore(batches: &Arc<Batches>, loaded: Loaded) {
        let rules = Rules::of(&loaded.facts.plan);
        let batch = loaded.standing.batch.clone();
        let records = loaded.standing.records.clone();
        let started_ms = loaded.standing.started_ms;
        let snapshot = Snapshot::new(loaded.facts, loaded.standing);
        let mut owner = Self::new(batches, snapshot, rules, records);
        owner.started_ms = started_ms;
        owner.close_gates(&batch);
        owner.remember_totals();
        owner.batch = Some(batch);
        tokio::spawn(async move {
            owner.look().await;
            owner.batches.wait_for_tasks().await;
            owner.take(Input::Restarted).await;
            owner.run().await;
        });
    }

    fn new(batches: &Arc<Batches>, snapshot: Snapshot, rules: Rules, records: Vec<Record>) -> Self {
        let snapshot = Arc::new(snapshot);
        let (messages, to_self) = batches.insert(Arc::clone(&snapshot));
        Self {
            batches: Arc::clone(batches),
            snapshot,
            rules,
            batch: None,
            records,
            dirty: BTreeSet::new(),
            results: Vec::new(),
            started_ms: None,
            messages,
            to_self,
            inputs: VecDeque::new(),
            wake_at_ms: None,
            there: Preconditions::default(),
            leaving: Vec::new(),
            hooks_want_since: None,
            wall: WallClock::new(now_ms(), uptime::now()),
            roomless: VecDeque::new(),
            room: batches.tasks.registry.room(),
            is_over: false,
        }
    }

    async fn run(mut self) {
        while !self.is_over {
            let nap = wall_clock::until(self.wake_at_ms, now_ms());
            tokio::select! {
                biased;
                () = self.batches.tasks.stage.stopping() => return,
                Some(message) = self.messages.recv() => self.on_message(message).await,
                Ok(()) = self.room.changed(), if !self.roomless.is_empty() => {
                    self.start_roomless().await;
                }
                () = sleep(nap), if self.wake_at_ms.is_some() => {
                    // The clock may have been set, in either direction.
                    self.follow_inputs().await;
                    if self.wake_at_ms.is_some_and(|at_ms| at_ms <= now_ms()) {
                        self.wake_at_ms = None;
                        self.take(Input::Time).await;
                    }
                }
            }
        }
        self.batches.remove(self.snapshot.batch_id());
    }

    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Admitted(job) => self.admit(job).await,
            Message::AuthRefused { job, task_id } => {
                self.take(Input::AuthRefused { job, task_id }).await;
            }
            Message::Ended { job, task_id, end } => {
                // The stop of the supervisor may have ended it: the next one looks at it again.
                if !self.batches.tasks.stage.is_stopping() {
                    self.ended(job, task_id, *end);
                    self.follow_inputs().await;
                }
            }
            Message::HookAgain { job, task_id } => {
                self.take(Input::Fate { job, task_id, fate: Fate::NeverBegan }).await;
            }
            Message::GateOpened { credential, scope } => {
                let tasks = self.waiting_for(&credential, &scope);
                if !tasks.is_empty() {
                    self.take(Input::LimitLifted { tasks }).await;
                }
            }
            Message::Cancel(done) => {
                self.take(Input::Cancel).await;
                // Whoever has stopped waiting does not care.
                done.send(()).ok();
            }
        }
    }
}
