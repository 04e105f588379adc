//! One step of the state machine: first stored, then published, then carried out.

use std::collections::BTreeSet;

use cc_batch::{
    Batch, Input, Job, Step,
    life::{Run, TaskState},
};
use cc_state::{BatchStep, BatchTaskRow, Change};
use tokio::time::sleep;

use crate::{
    batch::{
        owner::Owner,
        render,
        run_state::{RunState, StoredHead},
        snapshot::ChangedTask,
    },
    config::limits,
    ops::{clock::now_ms, uptime},
};

impl Owner {
    pub(super) async fn take(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.follow_inputs().await;
    }

    /// Takes a step for each input that is queued.
    pub(super) async fn follow_inputs(&mut self) {
        loop {
            // Before anything is decided by the new time.
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
            // It is always present here.
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

    /// Notes the state machine's decision on the attempt that has ended.
    fn note_conclusion(&mut self, batch: &Batch, index: usize) {
        let (Some(state), Some(attempts)) = (batch.tasks.get(index), self.attempts.get_mut(index))
        else {
            return;
        };
        if !self.dirty.contains(&index) {
            return;
        }
        match state {
            TaskState::RetryAt { at_ms, last, .. } => attempts.conclude(Some(*at_ms), last.verdict),
            // It is retried at once.
            TaskState::Attempt { attempt, run: Run::Queued } => {
                if let Some(last) = &attempt.last {
                    attempts.conclude(Some(now_ms()), last.verdict);
                }
            }
            TaskState::After { outcome, .. } | TaskState::Over { outcome, .. } => {
                attempts.conclude(None, outcome.verdict);
            }
            TaskState::Attempt { .. }
            | TaskState::Waiting
            | TaskState::Before { .. }
            | TaskState::Skipped { .. } => {}
        }
    }

    /// Stores a step, publishes it, and carries out its effects.
    pub(super) async fn carry_out(&mut self, step: Step) {
        let Step { batch, effects, changed } = step;
        let over_ms = batch.is_over().then(now_ms);
        // Changed attempts are stored with the step that they caused.
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
                self.attempts[index] = self.attempts[index].short();
            }
            let (state, attempts) = (batch.tasks[index].clone(), self.attempts[index].clone());
            shown.push(ChangedTask { index, state, attempts });
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
            record: is_dirty.then(|| to_json(&self.attempts[index])),
            result: self
                .results
                .iter()
                .find(|(place, _)| *place == index)
                .map(|(_, result)| result.clone()),
        }
    }

    fn head(&self, batch: &Batch, over_ms: Option<u64>) -> String {
        let summary = over_ms.map(|_| {
            let state = RunState {
                batch: batch.clone(),
                attempts: self.attempts.clone(),
                started_ms: self.started_ms,
                over_ms,
            };
            render::summary(self.snapshot.facts(), &state, &self.batches.gates)
        });
        to_json(&StoredHead { head: batch.head.clone(), started_ms: self.started_ms, summary })
    }

    /// Returns when the step is stored: nothing may follow from it before. A failing database is retried until it works
    /// or the supervisor stops.
    async fn store(&self, step: BatchStep) {
        loop {
            let change = Change::BatchStepped(Box::new(step.clone()));
            let Err(error) = self.batches.tasks.store.commit(vec![change]).await else { return };
            tracing::error!(batch_id = step.id, %error, "a batch waits for the state database");
            tokio::select! {
                () = sleep(limits::BATCH_STORE_RETRY) => {}
                // The next supervisor finds the previous step, so no effect of this one may happen.
                () = self.batches.tasks.stage.stopping() => std::future::pending().await,
            }
        }
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    // All keys are strings: serialization cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}
