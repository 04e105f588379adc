//! What the state machine asks for, done.

use std::sync::Arc;

use cc_batch::{
    Input, Job, Ticket,
    life::{Effect, Fate, Run, TaskState},
    retry::Class,
};
use cc_protocol::execute::Execute;

use crate::batch::owner::Owner;
use crate::{
    batch::{
        attempt_end::End,
        gates::{Credential, Pass},
        hooks,
        launch::{self, Start},
        observe::{self, AtGate},
        render,
    },
    ops::clock::now_ms,
    storage::database::StoreError,
    task::{Request, TaskHandle, worker_lost},
};

impl Owner {
    /// Does one thing that a step asks for. The step is stored.
    pub(super) async fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Enqueue { job } => self.enqueue(job).await,
            Effect::Withdraw { job } => self.leave_gate(job),
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
        match self.pass(job) {
            Some(pass) => {
                let batch_jobs = self.snapshot.facts().plan.options.claude_jobs as usize;
                self.batches.gates.ask(&pass, self.ticket(job), batch_jobs);
            }
            None => self.admitted(job),
        }
    }

    /// The gate lets a job pass.
    pub(in crate::batch) async fn admit(&mut self, job: Job) {
        if self.is_queued(job) {
            self.admitted(job);
            self.follow_inputs().await;
        } else {
            // It was withdrawn meanwhile.
            self.leave_gate(job);
        }
    }

    fn admitted(&mut self, job: Job) {
        let task_id = uuid::Uuid::now_v7().to_string();
        self.inputs.push_back(Input::Admitted { job, task_id });
    }

    fn is_queued(&self, job: Job) -> bool {
        let Job::Task(index) = job else { return true };
        let state = self.batch.as_ref().and_then(|batch| batch.tasks.get(index));
        matches!(state, Some(TaskState::Attempt { run: Run::Queued, .. }))
    }

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

    async fn start(&mut self, job: Job, task_id: String) {
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

    fn watch(&self, handle: TaskHandle, job: Job) {
        let at_gate = self.credential(job).map(|credential| AtGate {
            batches: Arc::clone(&self.batches),
            credential,
            ticket: self.ticket(job),
        });
        tokio::spawn(observe::watch(handle, job, at_gate, self.to_self.clone()));
    }

    fn not_started(&mut self, job: Job, task_id: String, problem: String) {
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

    async fn end(&mut self, job: Job, task_id: String) {
        if let Some(place) = self.roomless.iter().position(|(_, id)| *id == task_id) {
            self.roomless.remove(place);
            return self.ended(job, task_id, End::canceled_before_start(now_ms()));
        }
        // One that is not there has ended: its end is on its way.
        if let Some(handle) = self.batches.tasks.registry.get(&task_id) {
            handle.request(Request::Cancel(cc_events::EndReason::Canceled, None)).await;
        }
    }

    /// What became of a job while there was no supervisor. Its task has an owner or an end by now.
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
                tracing::error!(task_id, %error, "what became of a batch's task");
                return self.ended(job, task_id, End::lost(now_ms()));
            }
        };
        let Some(row) = row else {
            // It is on record before its worker hears of it.
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

    fn never_began(&mut self, job: Job, task_id: String) {
        if let Job::Task(index) = job
            && let Some(record) = self.records.get_mut(index)
        {
            record.never_began(&task_id);
            self.dirty.insert(index);
        }
        self.inputs.push_back(Input::Fate { job, task_id, fate: Fate::NeverBegan });
    }

    fn close_gate(&self, job: Job, until_ms: u64) {
        let Some(credential) = self.credential(job) else { return };
        let Job::Task(index) = job else { return };
        let record = self.records.get(index);
        let words = record.and_then(|record| record.limit.as_deref()).unwrap_or("a usage limit");
        let scope = record.and_then(|record| record.limit_scope.clone());
        self.batches.gates.close(&credential, scope, until_ms, words);
        self.batches.touch_all();
    }

    /// Where a job passes that passes a gate.
    pub(super) fn pass(&self, job: Job) -> Option<Pass> {
        let Job::Task(index) = job else { return None };
        let task = self.snapshot.facts().plan.tasks.get(index)?;
        self.batches.gates.pass(&task.execute)
    }

    /// The account of a job that passes a gate.
    pub(super) fn credential(&self, job: Job) -> Option<Credential> {
        let Job::Task(index) = job else { return None };
        let task = self.snapshot.facts().plan.tasks.get(index)?;
        self.batches.gates.credential(&task.execute)
    }

    pub(super) fn leave_gate(&self, job: Job) {
        if let Some(credential) = self.credential(job) {
            self.batches.gates.leave(&credential, &self.ticket(job));
        }
    }

    fn ticket(&self, job: Job) -> Ticket {
        Ticket { batch_id: self.snapshot.batch_id().to_owned(), job }
    }
}
