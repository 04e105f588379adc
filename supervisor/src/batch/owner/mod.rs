//! The owner of one batch: drives its state machine.
//!
//! ```text
//!   message, time ──▶ input ───▶ Batch::step ──▶ stored ──▶ snapshot ──▶ effects ──▶ tasks, gates, timer
//!                                    ▲                                  │
//!                                    └────── what follows at once ──────┘
//! ```
//! One tokio task for each batch that is not over. It waits for the database before it acts, and for nothing else. When
//! the supervisor stops, the owner stops too, so that it does not mistake the effects of the stop for the ends of its
//! tasks: the next supervisor continues from the stored state.
//!
//! `step` takes the state machine one step, `effects` does what the step asks for, `start` starts a job, `gate` deals
//! with the gates, `ended` judges the end of a job with `unavailable` and `cost`, `recall` restores texts before they
//! are stored again. `lifeline` continues a batch whose owner has panicked.

mod cost;
mod effects;
mod ended;
mod gate;
mod lifeline;
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

use crate::{
    batch::{
        attempts::Attempts,
        batches::Batches,
        messages::Message,
        preconditions::Preconditions,
        snapshot::Snapshot,
        stored::StoredBatch,
        wall_clock::{self, WallClock},
    },
    ops::{clock::now_ms, health::Problems, uptime},
};

#[derive(Debug)]
pub(super) struct Owner {
    batches: Arc<Batches>,
    snapshot: Arc<Snapshot>,
    rules: Rules,
    /// `None` only during a step.
    batch: Option<Batch>,
    /// One entry for each task; only those in `dirty` have long texts.
    attempts: Vec<Attempts>,
    /// The tasks whose attempts differ from the stored ones.
    dirty: BTreeSet<usize>,
    /// Results to store in full, because another task refers to them.
    results: Vec<(usize, String)>,
    started_ms: Option<u64>,
    messages: mpsc::Receiver<Message>,
    to_self: mpsc::Sender<Message>,
    /// Inputs that follow at once.
    inputs: VecDeque<Input>,
    wake_at_ms: Option<u64>,
    preconditions: Preconditions,
    /// Jobs that have met a limit. They leave the gate after it is closed, so that no other job passes before.
    leaving: Vec<Job>,
    /// Since when hooks cannot be started.
    hooks_unavailable_since: Option<Instant>,
    /// Detects jumps of the wall clock, by which the times of the batch are moved.
    wall: WallClock,
    /// Admitted jobs that wait for room among the supervisor's tasks.
    waiting_for_room: VecDeque<(Job, String)>,
    room: tokio_watch::Receiver<u64>,
    /// Whether starts are refused because the worker program is broken.
    broken: tokio_watch::Receiver<Option<tokio::time::Instant>>,
    /// Whether starts are refused because no task can be put on record.
    problems: tokio_watch::Receiver<Problems>,
    /// Jobs that wait for the end of a drain.
    held: VecDeque<Job>,
    drain: tokio_watch::Receiver<bool>,
    is_over: bool,
}

impl Owner {
    /// Spawns the owner of a batch that was just stored. `begun` is its first step.
    pub(super) fn begin(batches: &Arc<Batches>, snapshot: Snapshot, rules: Rules, begun: Step) {
        let count = begun.batch.tasks.len();
        let mut owner = Self::new(batches, snapshot, rules, vec![Attempts::default(); count]);
        let batch_id = owner.snapshot.batch_id().to_owned();
        let owning = async move {
            owner.check_preconditions().await;
            owner.carry_out(begun).await;
            owner.follow_inputs().await;
            owner.run().await;
        };
        lifeline::hold(batches, &batch_id, owning, Self::restore);
    }

    /// Spawns the owner of a batch of an earlier supervisor.
    pub(super) fn restore(batches: &Arc<Batches>, stored: StoredBatch) {
        let rules = Rules::of(&stored.facts.plan);
        let batch = stored.state.batch.clone();
        let attempts = stored.state.attempts.clone();
        let started_ms = stored.state.started_ms;
        let snapshot = Snapshot::new(stored.facts, stored.state);
        let mut owner = Self::new(batches, snapshot, rules, attempts);
        owner.started_ms = started_ms;
        owner.close_gates(&batch);
        owner.remember_totals();
        owner.batch = Some(batch);
        let batch_id = owner.snapshot.batch_id().to_owned();
        let owning = async move {
            owner.check_preconditions().await;
            owner.batches.wait_for_tasks().await;
            owner.take(Input::Restarted).await;
            owner.run().await;
        };
        lifeline::hold(batches, &batch_id, owning, Self::restore);
    }

    fn new(
        batches: &Arc<Batches>,
        snapshot: Snapshot,
        rules: Rules,
        attempts: Vec<Attempts>,
    ) -> Self {
        let snapshot = Arc::new(snapshot);
        let (messages, to_self) = batches.insert(Arc::clone(&snapshot));
        Self {
            batches: Arc::clone(batches),
            snapshot,
            rules,
            batch: None,
            attempts,
            dirty: BTreeSet::new(),
            results: Vec::new(),
            started_ms: None,
            messages,
            to_self,
            inputs: VecDeque::new(),
            wake_at_ms: None,
            preconditions: Preconditions::default(),
            leaving: Vec::new(),
            hooks_unavailable_since: None,
            wall: WallClock::new(now_ms(), uptime::now()),
            waiting_for_room: VecDeque::new(),
            room: batches.tasks.registry.room(),
            broken: batches.tasks.spawner.guard().changes(),
            problems: batches.tasks.health.watch(),
            held: VecDeque::new(),
            drain: batches.tasks.drain.changes(),
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
                Ok(()) = self.room.changed(), if !self.waiting_for_room.is_empty() => {
                    self.start_waiting_for_room().await;
                }
                Ok(()) = self.broken.changed(), if !self.waiting_for_room.is_empty() => {
                    self.start_waiting_for_room().await;
                }
                Ok(()) = self.problems.changed(), if !self.waiting_for_room.is_empty() => {
                    self.start_waiting_for_room().await;
                }
                Ok(()) = self.drain.changed(), if !self.held.is_empty() => {
                    self.enqueue_held().await;
                }
                () = sleep(nap), if self.wake_at_ms.is_some() => {
                    // The wall clock may have been set, in either direction.
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
                // The stop of the supervisor may have ended the job: the next supervisor judges its end.
                if !self.batches.tasks.stage.is_stopping() {
                    self.ended(job, task_id, *end);
                    self.follow_inputs().await;
                }
            }
            Message::RetryHook { job, task_id } => {
                self.take(Input::Fate { job, task_id, fate: Fate::NeverBegan }).await;
            }
            Message::GateOpened { credential, scope } => {
                let tasks = self.waiting_for(&credential, &scope);
                if !tasks.is_empty() {
                    self.take(Input::LimitLifted { tasks }).await;
                }
            }
            // The caller may have stopped waiting.
            Message::Settle(done) => drop(done.send(())),
            Message::Cancel(done) => {
                self.take(Input::Cancel).await;
                // The client may have stopped waiting.
                done.send(()).ok();
            }
        }
    }
}
