//! What a job runs, and its start.

use std::sync::Arc;

use cc_batch::{
    Job,
    life::{Run, TaskState},
};
use cc_protocol::execute::Execute;

use crate::batch::owner::Owner;
use crate::{
    batch::{
        attempt_end::End,
        hooks,
        launch::{self, Start},
        observe::{self, AtGate},
        render,
    },
    ops::clock::now_ms,
    storage::database::StoreError,
    task::TaskHandle,
};

impl Owner {
    /// Notes in a task's record that an attempt begins, before that is stored. Nothing, where it was withdrawn.
    pub(super) async fn note_admission(&mut self, index: usize, task_id: &str) {
        let state = self.batch.as_ref().and_then(|batch| batch.tasks.get(index));
        let Some(TaskState::Attempt { attempt, run: Run::Queued }) = state else { return };
        let number = attempt.number;
        let chosen = launch::timeout(&self.batches, &self.snapshot.facts().plan, index).await;
        let chosen = chosen.unwrap_or_else(|error| {
            tracing::error!(%error, "the history of durations");
            launch::Chosen { timeout_s: None, why: None }
        });
        let Some(record) = self.records.get_mut(index) else { return };
        let now_ms = now_ms();
        record.begin(task_id, number, now_ms);
        let default_s = self.batches.tasks.config.task.timeout.as_secs_f64();
        record.timeout_s = Some(chosen.timeout_s.unwrap_or(default_s));
        record.timeout_why = chosen.why;
        self.dirty.insert(index);
        self.started_ms.get_or_insert(now_ms);
    }

    pub(super) async fn start(&mut self, job: Job, task_id: String) {
        let execute = match self.execute(job).await {
            Ok(execute) => execute,
            Err(problem) => return self.not_started(job, task_id, problem),
        };
        if let Job::Task(index) = job
            && let Some(problem) = self.snapshot.facts().plan.emptied(index, &execute)
        {
            return self.ended(job, task_id, End::emptied(&problem, now_ms()));
        }
        let batch_id = self.snapshot.batch_id();
        match launch::start(&self.batches, batch_id, &task_id, execute) {
            Start::Begun(handle) => {
                self.watch(handle, job);
            }
            Start::NoRoom => self.roomless.push_back((job, task_id)),
            Start::Stopping => {}
            Start::Failed(problem) => self.not_started(job, task_id, problem),
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

    pub(super) fn not_started(&mut self, job: Job, task_id: String, problem: String) {
        let problem = format!("it could not be started: {problem}");
        self.ended(job, task_id, End::not_started(problem, now_ms()));
    }

    /// A task has ended: perhaps there is room.
    pub(in crate::batch) async fn start_roomless(&mut self) {
        let waiting: Vec<_> = self.roomless.drain(..).collect();
        for (job, task_id) in waiting {
            self.start(job, task_id).await;
        }
        self.follow_inputs().await;
    }

    /// What a job runs.
    async fn execute(&self, job: Job) -> Result<Execute, String> {
        let facts = self.snapshot.facts();
        let no_hook = || "the plan has no such hook".to_owned();
        match job {
            Job::Task(index) => self.execute_task(index).await,
            Job::Before(index) | Job::After(index) => {
                let state = self.batch.as_ref().and_then(|batch| batch.tasks.get(index));
                let (Some(state), Some(record)) = (state, self.records.get(index)) else {
                    return Err(no_hook());
                };
                hooks::of_task(&facts.plan, &facts.batch_id, job, state, record).ok_or_else(no_hook)
            }
            Job::AfterBatch => {
                let summary = self.snapshot.summary(&self.batches.gates);
                let Some(batch) = &self.batch else { return Err(no_hook()) };
                let stop = match batch.head.phase {
                    cc_batch::life::Phase::AfterBatch { stop, .. } => stop,
                    cc_batch::life::Phase::Going
                    | cc_batch::life::Phase::Stopping { .. }
                    | cc_batch::life::Phase::Over { .. } => None,
                };
                let outcome = render::outcome(&facts.plan, batch, stop);
                hooks::of_batch(&facts.plan, &summary, outcome.as_str()).ok_or_else(no_hook)
            }
        }
    }

    async fn execute_task(&self, index: usize) -> Result<Execute, String> {
        let facts = self.snapshot.facts();
        let needs = facts.plan.needs().get(index).map_or(&[][..], Vec::as_slice);
        let places: Vec<u64> =
            needs.iter().filter(|need| need.result).map(|need| need.task as u64).collect();
        let results = if places.is_empty() {
            Vec::new()
        } else {
            let id = facts.batch_id.clone();
            let results =
                self.batches.tasks.store.read(move |db| db.batch_results(&id, &places)).await;
            results.map_err(|error: StoreError| error.to_string())?
        };
        let result_of = |task: usize| {
            let found = results.iter().find(|(place, _)| *place == task as u64);
            found.map(|(_, result)| result.as_str())
        };
        let filled = facts.plan.execute(index, result_of);
        let mut execute = filled.map_err(|missing| missing.to_string())?;
        execute.timeout = self.records.get(index).and_then(|record| record.timeout_s);
        execute.label = launch::label(&facts.plan, index);
        self.recall_conversation(&execute).await;
        Ok(execute)
    }
}
