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

mod effects;
mod recall;
mod starts;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use cc_batch::{
    Batch, Input, Job, Rules, Scope, Step,
    life::{Cause, Fate, Phase, Run, Stop, TaskOutcome, TaskState},
    retry::Class,
};
use cc_events::EndReason;
use cc_state::{BatchStep, BatchTaskRow, Change};
use tokio::{
    sync::{mpsc, watch as tokio_watch},
    time::sleep,
};

use crate::batch::{
    attempt_end::End,
    attempts::Record,
    gates::{self, Credential},
    messages::Message,
    preconditions::Preconditions,
    query::Loaded,
    snapshot::{Changed, Snapshot, StoredHead},
    wall_clock::WallClock,
};
use crate::{
    batch::Batches,
    config::limits,
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
            let nap = gates::until(self.wake_at_ms, now_ms());
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

    async fn take(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.follow_inputs().await;
    }

    /// Goes as many steps as follow at once.
    async fn follow_inputs(&mut self) {
        loop {
            // Before anything happens by the new time.
            if let Some(by_ms) = self.wall.moved(now_ms(), uptime::now()) {
                tracing::info!(
                    batch_id = self.snapshot.batch_id(),
                    by_ms,
                    "the wall clock has moved"
                );
                self.inputs.push_front(Input::ClockMoved { by_ms });
            }
            let Some(input) = self.inputs.pop_front() else { break };
            if let Input::Admitted { job: Job::Task(index), task_id } = &input {
                self.note_admission(*index, task_id).await;
            }
            // There always is one here.
            let Some(batch) = self.batch.take() else { break };
            let ended = match &input {
                Input::Ended { job: Job::Task(index), .. } => Some(*index),
                Input::Ended { .. }
                | Input::Fate { .. }
                | Input::Admitted { .. }
                | Input::AuthRefused { .. }
                | Input::LimitLifted { .. }
                | Input::Time
                | Input::ClockMoved { .. }
                | Input::Cancel
                | Input::Restarted => None,
            };
            let step = batch.step(&self.rules, now_ms(), input);
            if let Some(index) = ended {
                self.note_conclusion(&step.batch, index);
            }
            self.carry_out(step).await;
        }
        for job in std::mem::take(&mut self.leaving) {
            self.leave_gate(job);
        }
    }

    /// Notes in a task's record what the state machine made of its attempt's end.
    fn note_conclusion(&mut self, batch: &Batch, index: usize) {
        let (Some(state), Some(record)) = (batch.tasks.get(index), self.records.get_mut(index))
        else {
            return;
        };
        if !self.dirty.contains(&index) {
            return;
        }
        match state {
            TaskState::RetryAt { at_ms, last, .. } => record.conclude(Some(*at_ms), last.verdict),
            // Begun again at once.
            TaskState::Attempt { attempt, run: Run::Queued } => {
                if let Some(last) = &attempt.last {
                    record.conclude(Some(now_ms()), last.verdict);
                }
            }
            TaskState::After { outcome, .. } | TaskState::Over { outcome, .. } => {
                record.conclude(None, outcome.verdict);
            }
            TaskState::Attempt { .. }
            | TaskState::Waiting
            | TaskState::Before { .. }
            | TaskState::Skipped { .. } => {}
        }
    }

    /// Stores a step, shows it, and does what it asks for.
    async fn carry_out(&mut self, step: Step) {
        let Step { batch, effects, changed } = step;
        let over_ms = batch.is_over().then(now_ms);
        // A record is stored with the next step that changes its task; that is the one that it was changed for.
        let changed: BTreeSet<usize> =
            changed.into_iter().chain(self.dirty.iter().copied()).collect();
        self.recall_tails().await;
        let tasks = changed.iter().map(|index| self.row(&batch, *index)).collect();
        let head = self.head(&batch, over_ms);
        let id = self.snapshot.batch_id().to_owned();
        self.store(BatchStep { id, head, over_ms, tasks }).await;
        let mut shown = Vec::with_capacity(changed.len());
        for index in changed {
            if self.dirty.remove(&index) {
                self.records[index] = self.records[index].short();
            }
            let (state, record) = (batch.tasks[index].clone(), self.records[index].clone());
            shown.push(Changed { index, state, record });
        }
        self.results.clear();
        self.snapshot.publish(&batch.head, self.started_ms, over_ms, shown);
        self.batch = Some(batch);
        for effect in effects {
            self.effect(effect).await;
        }
    }

    fn row(&self, batch: &Batch, index: usize) -> BatchTaskRow {
        let is_dirty = self.dirty.contains(&index);
        BatchTaskRow {
            place: index as u64,
            state: to_json(&batch.tasks[index]),
            record: is_dirty.then(|| to_json(&self.records[index])),
            result: self
                .results
                .iter()
                .find(|(place, _)| *place == index)
                .map(|(_, result)| result.clone()),
        }
    }

    fn head(&self, batch: &Batch, over_ms: Option<u64>) -> String {
        let summary = over_ms.map(|_| {
            let standing = super::snapshot::RunState {
                batch: batch.clone(),
                records: self.records.clone(),
                started_ms: self.started_ms,
                over_ms,
            };
            super::render::summary(self.snapshot.facts(), &standing, &self.batches.gates)
        });
        to_json(&StoredHead { head: batch.head.clone(), started_ms: self.started_ms, summary })
    }

    /// Returns when the step is stored: nothing may follow from it before. A database that does not take it is
    /// asked again until it does, or the supervisor stops.
    async fn store(&self, step: BatchStep) {
        loop {
            let change = Change::BatchStepped(Box::new(step.clone()));
            let Err(error) = self.batches.tasks.store.commit(vec![change]).await else { return };
            tracing::error!(batch_id = step.id, %error, "a batch waits for the state database");
            tokio::select! {
                () = sleep(limits::BATCH_STORE_RETRY) => {}
                // What the next supervisor finds is the step before; it must not find what follows from this one.
                () = self.batches.tasks.stage.stopping() => std::future::pending().await,
            }
        }
    }

    /// A limit that a task of this batch waits for is one for all.
    fn close_gates(&self, batch: &Batch) {
        if !matches!(batch.head.phase, Phase::Going) {
            return;
        }
        let gates = &self.batches.gates;
        for (index, task) in batch.tasks.iter().enumerate() {
            let TaskState::RetryAt { at_ms, last, .. } = task else { continue };
            let record = &self.records[index];
            if is_limit(last)
                && let Some(words) = record.limit.as_deref()
                && let Some(credential) = self.credential(Job::Task(index))
            {
                gates.close(&credential, record.limit_scope.clone(), *at_ms, words);
            }
        }
    }

    /// The tasks of this batch that wait for such a limit to end.
    fn waiting_for(&self, credential: &Credential, scope: &Scope) -> Vec<usize> {
        let Some(batch) = &self.batch else { return Vec::new() };
        let tasks = batch.tasks.iter().enumerate().filter(|(index, task)| match task {
            TaskState::RetryAt { last, .. } => {
                is_limit(last)
                    && self.records[*index].limit_scope == *scope
                    && self.credential(Job::Task(*index)).as_ref() == Some(credential)
            }
            TaskState::Waiting
            | TaskState::Before { .. }
            | TaskState::Attempt { .. }
            | TaskState::After { .. }
            | TaskState::Over { .. }
            | TaskState::Skipped { .. } => false,
        });
        tasks.map(|(index, _)| index).collect()
    }

    /// What conversations have cost that this batch's tasks have led.
    fn remember_totals(&self) {
        let mut totals = self.batches.totals();
        for total in self.records.iter().filter_map(|record| record.session.as_ref()) {
            totals.remember(total);
        }
    }

    /// Takes note of a job's end and tells the state machine.
    fn ended(&mut self, job: Job, task_id: String, mut end: End) {
        match self.batch.as_ref().map(|batch| &batch.head.phase) {
            // A person's wish; whoever it is, the task was not to go on.
            Some(Phase::Stopping { stop: Stop::Canceled }) | None => {}
            Some(Phase::Stopping { .. }) => end.stand_by_its_result(),
            Some(Phase::Going | Phase::AfterBatch { .. } | Phase::Over { .. }) => {}
        }
        if matches!(job, Job::Task(_)) && self.snapshot.facts().plan.options.strict {
            end.fail_on_warnings();
        }
        self.see_what_was_lacking(job, &mut end);
        if self.starts_again(job, &task_id, &end) {
            return;
        }
        self.count_money(job, &mut end);
        match end.attempt.class {
            Class::Limit { .. } => self.leaving.push(job),
            Class::Done
            | Class::Transient { .. }
            | Class::Unavailable { .. }
            | Class::Interrupted
            | Class::Lost
            | Class::TimedOut
            | Class::Never { .. } => self.leave_gate(job),
        }
        self.batches.tasks.metrics.attempt_ended(end.attempt.class);
        match job {
            Job::Task(index) => {
                let reason = end.completed.as_ref().map(|completed| completed.reason);
                if reason == Some(EndReason::Canceled)
                    && end.attempt.verdict != cc_events::Verdict::Succeeded
                    && let Some(batch) = &self.batch
                    && let Some(why) = super::render::why_ended(batch, index, &task_id)
                {
                    end.error = Some(why);
                }
                if let Some(record) = self.records.get_mut(index) {
                    record.end(&task_id, &end);
                    self.dirty.insert(index);
                }
                if self.is_referred_to(index)
                    && let Some(text) = end.text.filter(|_| end.attempt.has_result)
                {
                    self.results.push((index, text));
                }
            }
            Job::Before(index) if end.attempt.verdict != cc_events::Verdict::Succeeded => {
                if let Some(record) = self.records.get_mut(index) {
                    record.error = end.error.or_else(|| end.completed.map(|end| exit_text(&end)));
                    self.dirty.insert(index);
                }
            }
            Job::Before(_) | Job::After(_) | Job::AfterBatch => {}
        }
        self.inputs.push_back(Input::Ended { job, task_id, end: end.attempt });
    }

    fn is_referred_to(&self, index: usize) -> bool {
        let needs = self.snapshot.facts().plan.needs();
        needs.iter().flatten().any(|need| need.task == index && need.result)
    }
}

fn is_limit(outcome: &TaskOutcome) -> bool {
    matches!(outcome.cause, Cause::Attempt { end: Class::Limit { .. } })
}

fn exit_text(completed: &cc_events::Completed) -> String {
    match completed.signal {
        Some(signal) => format!("it died of signal {signal}"),
        None => format!("it exited with {}", completed.exit_code),
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    // All keys are texts; a failure here is excluded by the types.
    serde_json::to_string(value).unwrap_or_default()
}
