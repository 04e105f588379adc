//! The start of a job, and the command it runs.

use std::sync::Arc;

use cc_batch::{
    Job,
    life::{Phase, Run, TaskState},
};
use cc_protocol::execute::Execute;

use crate::{
    batch::{
        attempt_end::JobEnd,
        hooks,
        launch::{self, Start, StartError},
        observe::{self, AtGate},
        owner::Owner,
        render,
    },
    ops::clock::now_ms,
    task::TaskHandle,
};

impl Owner {
    /// Notes that an attempt begins, before that is stored. Does nothing if the task was withdrawn.
    pub(super) async fn note_admission(&mut self, index: usize, task_id: &str) {
        let state = self.batch.as_ref().and_then(|batch| batch.tasks.get(index));
        let Some(TaskState::Attempt { attempt, run: Run::Queued }) = state else { return };
        let number = attempt.number;
        let chosen = launch::timeout(&self.batches, &self.snapshot.facts().plan, index).await;
        let chosen = chosen.unwrap_or_else(|error| {
            let batch_id = self.snapshot.batch_id();
            tracing::error!(batch_id, %error, "the history of durations cannot be read");
            launch::Chosen { timeout_s: None, why: None }
        });
        let Some(attempts) = self.attempts.get_mut(index) else { return };
        let now_ms = now_ms();
        attempts.begin(task_id, number, now_ms);
        let default_s = self.batches.tasks.config().task.timeout.as_secs_f64();
        attempts.timeout_s = Some(chosen.timeout_s.unwrap_or(default_s));
        attempts.timeout_why = chosen.why;
        self.dirty.insert(index);
        self.started_ms.get_or_insert(now_ms);
    }

    pub(super) async fn start(&mut self, job: Job, task_id: String) {
        let execute = match self.execute(job).await {
            Ok(execute) => execute,
            Err(problem) => return self.not_started(job, task_id, &problem),
        };
        if let Job::Task(index) = job
            && let Some(problem) = self.snapshot.facts().plan.emptied(index, &execute)
        {
            return self.ended(job, task_id, JobEnd::emptied(&problem, now_ms()));
        }
        match launch::start(&self.batches, self.snapshot.facts(), &task_id, execute).await {
            Start::Begun(handle) => {
                self.watch(handle, job);
            }
            Start::NoRoom => self.waiting_for_room.push_back((job, task_id)),
            Start::Stopping => {}
            Start::Failed(problem) => self.not_started(job, task_id, &problem),
        }
    }

    pub(super) fn watch(&self, handle: TaskHandle, job: Job) {
        let at_gate = self.credential(job).map(|credential| AtGate {
            batches: Arc::clone(&self.batches),
            credential,
            ticket: self.ticket(job),
        });
        tokio::spawn(observe::watch(handle, job, at_gate, self.to_self.clone()));
    }

    pub(super) fn not_started(&mut self, job: Job, task_id: String, problem: &StartError) {
        let problem = format!("it could not be started: {problem}");
        self.ended(job, task_id, JobEnd::not_started(problem, now_ms()));
    }

    /// A task has ended, so there may be room: starts the jobs that wait for it.
    pub(super) async fn start_waiting_for_room(&mut self) {
        let waiting: Vec<_> = self.waiting_for_room.drain(..).collect();
        for (job, task_id) in waiting {
            self.start(job, task_id).await;
        }
        self.follow_inputs().await;
    }

    async fn execute(&self, job: Job) -> Result<Execute, StartError> {
        let facts = self.snapshot.facts();
        match job {
            Job::Task(index) => self.execute_task(index).await,
            Job::Before(index) | Job::After(index) => {
                let state = self.batch.as_ref().and_then(|batch| batch.tasks.get(index));
                let (Some(state), Some(attempts)) = (state, self.attempts.get(index)) else {
                    return Err(StartError::NoHook);
                };
                hooks::of_task(&facts.plan, &facts.batch_id, job, state, attempts)
                    .ok_or(StartError::NoHook)
            }
            Job::AfterBatch => {
                let summary = self.snapshot.summary(&self.batches.gates);
                let Some(batch) = &self.batch else { return Err(StartError::NoHook) };
                let stop = match batch.head.phase {
                    Phase::AfterBatch { stop, .. } => stop,
                    Phase::Going | Phase::Stopping { .. } | Phase::Over { .. } => None,
                };
                let outcome = render::outcome(&facts.plan, batch, stop);
                hooks::of_batch(&facts.plan, &summary, outcome.as_str()).ok_or(StartError::NoHook)
            }
        }
    }

    async fn execute_task(&self, index: usize) -> Result<Execute, StartError> {
        let facts = self.snapshot.facts();
        let needs = facts.plan.needs().get(index).map_or(&[][..], Vec::as_slice);
        let places: Vec<u64> =
            needs.iter().filter(|need| need.result).map(|need| need.task as u64).collect();
        let results = if places.is_empty() {
            Vec::new()
        } else {
            let id = facts.batch_id.clone();
            self.batches.tasks.store.read(move |db| db.batch_results(&id, &places)).await?
        };
        let result_of = |task: usize| {
            let found = results.iter().find(|(place, _)| *place == task as u64);
            found.map(|(_, result)| result.as_str())
        };
        let mut execute = facts.plan.execute(index, result_of)?;
        execute.timeout = self.attempts.get(index).and_then(|attempts| attempts.timeout_s);
        execute.label = launch::label(&facts.plan, index);
        self.recall_conversation(&execute).await;
        Ok(execute)
    }
}
