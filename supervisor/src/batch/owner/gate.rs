//! The gates, as a batch uses them.

use cc_batch::{
    Batch, Job, Scope, Ticket,
    life::{Cause, Phase, TaskOutcome, TaskState},
    retry::Class,
};

use crate::batch::{
    gates::{Credential, Pass},
    owner::Owner,
};

impl Owner {
    /// Closes the gates for the limits that tasks of this batch wait for: a restored batch knows limits that hold for
    /// all.
    pub(super) fn close_gates(&self, batch: &Batch) {
        if !matches!(batch.head.phase, Phase::Going) {
            return;
        }
        let gates = &self.batches.gates;
        for (index, task) in batch.tasks.iter().enumerate() {
            let TaskState::RetryAt { at_ms, last, .. } = task else { continue };
            let attempts = &self.attempts[index];
            if is_limit(last)
                && let Some(words) = attempts.limit.as_deref()
                && let Some(credential) = self.credential(Job::Task(index))
            {
                gates.close(&credential, attempts.limit_scope.clone(), *at_ms, words);
            }
        }
    }

    /// The tasks of this batch that wait for the end of this limit.
    pub(super) fn waiting_for(&self, credential: &Credential, scope: &Scope) -> Vec<usize> {
        let Some(batch) = &self.batch else { return Vec::new() };
        let tasks = batch.tasks.iter().enumerate().filter(|(index, task)| match task {
            TaskState::RetryAt { last, .. } => {
                is_limit(last)
                    && self.attempts[*index].limit_scope == *scope
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

    pub(super) fn close_gate(&self, job: Job, until_ms: u64) {
        let Some(credential) = self.credential(job) else { return };
        let Job::Task(index) = job else { return };
        let attempts = self.attempts.get(index);
        let words =
            attempts.and_then(|attempts| attempts.limit.as_deref()).unwrap_or("a usage limit");
        let scope = attempts.and_then(|attempts| attempts.limit_scope.clone());
        self.batches.gates.close(&credential, scope, until_ms, words);
        self.batches.touch_all();
    }

    /// The gate of a job, if it passes one.
    pub(super) fn pass(&self, job: Job) -> Option<Pass> {
        let Job::Task(index) = job else { return None };
        let task = self.snapshot.facts().plan.tasks.get(index)?;
        self.batches.gates.pass(&task.execute)
    }

    /// The account of a job, if it passes a gate.
    pub(super) fn credential(&self, job: Job) -> Option<Credential> {
        let Job::Task(index) = job else { return None };
        let task = self.snapshot.facts().plan.tasks.get(index)?;
        self.batches.gates.credential(&task.execute)
    }

    pub(super) fn leave_gate(&self, job: Job) {
        if self.credential(job).is_some() {
            self.batches.gates.leave(&self.ticket(job));
        }
    }

    pub(super) fn ticket(&self, job: Job) -> Ticket {
        Ticket { batch_id: self.snapshot.batch_id().to_owned(), job }
    }
}

fn is_limit(outcome: &TaskOutcome) -> bool {
    matches!(outcome.cause, Cause::Attempt { end: Class::Limit { .. } })
}
