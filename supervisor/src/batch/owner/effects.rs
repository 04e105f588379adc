//! The effects that the state machine asks for.

use cc_batch::{
    Input, Job,
    life::{Effect, Fate, Run, TaskState},
    retry::Class,
};

use crate::{
    batch::{attempt_end::JobEnd, observe, owner::Owner},
    ops::clock::now_ms,
    task::{Request, worker_lost},
};

impl Owner {
    /// Carries out one effect. Its step is stored.
    pub(super) async fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Enqueue { job } => self.enqueue(job).await,
            Effect::Withdraw { job } => {
                self.held.retain(|held| *held != job);
                self.leave_gate(job);
            }
            Effect::Start { job, task_id, attempt: _ } => self.start(job, task_id).await,
            Effect::End { job, task_id } => self.end(job, task_id).await,
            Effect::AskFate { job, task_id } => self.ask_fate(job, task_id).await,
            Effect::CloseGate { job, until_ms } => self.close_gate(job, until_ms),
            Effect::WakeAt { at_ms } => self.wake_at_ms = Some(at_ms),
            Effect::Over => {
                self.is_over = true;
                let summary = self.snapshot.summary(&self.batches.gates);
                tracing::info!(
                    batch_id = summary.batch_id,
                    outcome = summary.outcome.map(|outcome| outcome.as_str()),
                    reason = summary.reason,
                    "a batch is over"
                );
            }
        }
    }

    async fn enqueue(&mut self, job: Job) {
        if self.is_held_up(job) {
            self.held.push_back(job);
            return;
        }
        match self.pass(job) {
            Some(pass) => {
                let batch_jobs = self.snapshot.facts().plan.options.claude_jobs as usize;
                self.batches.gates.ask(&pass, self.ticket(job), batch_jobs);
            }
            None => self.admitted(job),
        }
    }

    /// A gate admits a job.
    pub(super) async fn admit(&mut self, job: Job) {
        if self.is_held_up(job) {
            // The drain began after the gate had let it pass.
            self.leave_gate(job);
            self.held.push_back(job);
        } else if self.is_queued(job) {
            self.admitted(job);
            self.follow_inputs().await;
        } else {
            // The job was withdrawn meanwhile.
            self.leave_gate(job);
        }
    }

    /// Whether a drain holds it up. What follows a task that has begun is not held up: the task is not over without it.
    fn is_held_up(&self, job: Job) -> bool {
        match job {
            Job::Before(_) | Job::Task(_) => self.batches.tasks.drain.is_on(),
            Job::After(_) | Job::AfterBatch => false,
        }
    }

    /// A drain may have ended.
    pub(super) async fn enqueue_held(&mut self) {
        for job in std::mem::take(&mut self.held) {
            self.enqueue(job).await;
        }
        self.follow_inputs().await;
    }

    pub(super) fn admitted(&mut self, job: Job) {
        let task_id = uuid::Uuid::now_v7().to_string();
        self.inputs.push_back(Input::Admitted { job, task_id });
    }

    fn is_queued(&self, job: Job) -> bool {
        let Job::Task(index) = job else { return true };
        let state = self.batch.as_ref().and_then(|batch| batch.tasks.get(index));
        matches!(state, Some(TaskState::Attempt { run: Run::Queued, .. }))
    }

    async fn end(&mut self, job: Job, task_id: String) {
        if let Some(place) = self.waiting_for_room.iter().position(|(_, id)| *id == task_id) {
            self.waiting_for_room.remove(place);
            return self.ended(job, task_id, JobEnd::canceled_before_start(now_ms()));
        }
        // A task that is not registered has ended: its end is on its way.
        if let Some(handle) = self.batches.tasks.registry.get(&task_id) {
            handle.request(Request::Cancel(cc_events::EndReason::Canceled, None)).await;
        }
    }

    /// Finds out what happened to a job while no supervisor ran. Its task is recovered: it has an owner or an end.
    async fn ask_fate(&mut self, job: Job, task_id: String) {
        if let Some(handle) = self.batches.tasks.registry.get(&task_id) {
            if let Some(credential) = self.credential(job) {
                self.batches.gates.adopted(&credential, self.ticket(job));
            }
            self.watch(handle, job);
            self.inputs.push_back(Input::Fate { job, task_id, fate: Fate::Adopted });
            return;
        }
        let id = task_id.clone();
        let row = match self.batches.tasks.store.read(move |db| db.task(&id)).await {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(task_id, %error, "a task cannot be read and counts as lost");
                return self.ended(job, task_id, JobEnd::lost(now_ms()));
            }
        };
        let Some(row) = row else {
            // A task is stored before its worker gets it.
            return self.never_began(job, task_id);
        };
        let end = observe::end_of(&self.batches, &row).await;
        if end.completed.as_ref().is_some_and(worker_lost::never_began) {
            return self.never_began(job, task_id);
        }
        let is_hook = !matches!(job, Job::Task(_));
        if is_hook && end.attempt.class == Class::Interrupted {
            return self.never_began(job, task_id);
        }
        self.ended(job, task_id, end);
    }

    pub(super) fn never_began(&mut self, job: Job, task_id: String) {
        if let Job::Task(index) = job
            && let Some(attempts) = self.attempts.get_mut(index)
        {
            attempts.never_began(&task_id);
            self.dirty.insert(index);
        }
        self.inputs.push_back(Input::Fate { job, task_id, fate: Fate::NeverBegan });
    }
}
