//! Starts that fail for want of something, and what attempts have cost: what a job's end says of others.

use std::time::{Duration, Instant};

use cc_batch::{
    Job,
    limits::{UNAVAILABLE_LONGEST_MS, UNAVAILABLE_WAIT_LONGEST_MS, WAIT_SHORTEST_MS},
    retry::{Class, Want},
};
use cc_events::Verdict;
use cc_protocol::{batch::AttemptClass, execute::Execute};
use tokio::time::sleep;

use crate::batch::owner::Owner;
use crate::{
    batch::{
        attempt_end::End, attempts::Record, messages::Message, money, preconditions::Preconditions,
    },
    config::limits,
};

impl Owner {
    /// Looks whether what the tasks are started with is there.
    pub(super) async fn look(&mut self) {
        let plan = std::sync::Arc::clone(&self.snapshot.facts().plan);
        let agent = self.batches.tasks.config.agent.first().cloned();
        let path = self.batches.tasks.environment.get("PATH").map(str::to_owned);
        let looking = tokio::task::spawn_blocking(move || {
            Preconditions::look(&plan, agent.as_deref(), path.as_deref())
        });
        // A panic there would be logged; then nothing was there, which costs patience and no more.
        self.there = looking.await.unwrap_or_default();
        for (index, record) in self.records.iter().enumerate() {
            let is_started = |attempt: &cc_protocol::batch::BatchAttempt| {
                let is_waited_for = attempt.class == Some(AttemptClass::Unavailable);
                attempt.verdict.is_some_and(|verdict| verdict != Verdict::SpawnFailed)
                    && !is_waited_for
            };
            if record.attempts.iter().any(is_started)
                && let Some(task) = self.snapshot.facts().plan.tasks.get(index)
            {
                self.there.has_started(&task.execute);
            }
        }
    }

    fn task(&self, job: Job) -> Option<&Execute> {
        let Job::Task(index) = job else { return None };
        self.snapshot.facts().plan.tasks.get(index).map(|task| &task.execute)
    }

    /// A start that failed for want of what was there before is no failure of the task.
    pub(super) fn see_what_was_lacking(&mut self, job: Job, end: &mut End) {
        let plan = std::sync::Arc::clone(&self.snapshot.facts().plan);
        let Job::Task(index) = job else { return };
        let Some(task) = plan.tasks.get(index).map(|task| &task.execute) else { return };
        let lacking = end.lacking();
        if end.attempt.verdict != Verdict::SpawnFailed && lacking.is_none() {
            return self.there.has_started(task);
        }
        if lacking.is_some_and(|lacking| self.there.was_there(task, lacking))
            && !matches!(end.attempt.class, Class::Unavailable { .. })
        {
            end.attempt.class = Class::Unavailable { want: Want::Program };
        }
        if matches!(end.attempt.class, Class::Unavailable { .. }) {
            let words = end
                .error
                .as_deref()
                .unwrap_or("its program, or what that starts, cannot be executed");
            tracing::warn!(
                batch_id = self.snapshot.batch_id(),
                task = index + 1,
                problem = words,
                "a task waits for what it could not be started without"
            );
            end.limit = Some(words.chars().take(limits::BATCH_LIMIT_WORDS_CHARS).collect());
        }
    }

    /// Whether a hook that could not be started for want of something is tried again: it is no failure of its task.
    pub(super) fn starts_again(&mut self, job: Job, task_id: &str, end: &End) -> bool {
        match job {
            Job::Task(_) => return false,
            Job::Before(_) | Job::After(_) | Job::AfterBatch => {}
        }
        if !matches!(end.attempt.class, Class::Unavailable { .. }) {
            self.hooks_want_since = None;
            return false;
        }
        let waited = self.hooks_want_since.get_or_insert_with(Instant::now).elapsed();
        if waited >= Duration::from_millis(UNAVAILABLE_LONGEST_MS) {
            return false;
        }
        let shortest = Duration::from_millis(WAIT_SHORTEST_MS);
        let wait = waited.clamp(shortest, Duration::from_millis(UNAVAILABLE_WAIT_LONGEST_MS));
        let (messages, task_id) = (self.to_self.clone(), task_id.to_owned());
        tokio::spawn(async move {
            sleep(wait).await;
            // An owner that is gone does not care: the next one asks for the hook again.
            messages.send(Message::HookAgain { job, task_id }).await.ok();
        });
        true
    }

    /// Before a task goes on with a conversation that nobody here remembers: what it has cost so far, if a batch of an
    /// earlier supervisor has led it.
    pub(super) async fn recall_conversation(&self, task: &Execute) {
        let Some(Some(id)) = money::resumed(task) else { return };
        if self.batches.totals().knows(&id) {
            return;
        }
        let mark = money::mark_of(&id);
        let found =
            self.batches.tasks.store.read(move |db| db.newest_batch_record_with(&mark)).await;
        match found {
            Ok(Some(record)) => {
                let record = serde_json::from_str::<Record>(&record).ok();
                if let Some(total) = record.and_then(|record| record.session) {
                    self.batches.totals().remember(&total);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "what a conversation has cost so far"),
        }
    }

    /// What the attempt itself has cost.
    pub(super) fn count_money(&self, job: Job, end: &mut End) {
        let (Some(task), Some(result)) = (self.task(job), end.result.as_deref()) else { return };
        let bill = self.batches.totals().bill(task, end.completed.as_ref(), result);
        end.attempt.cost_usd = bill.sums.cost_usd.unwrap_or(0.0);
        if bill.may_contain_past {
            tracing::warn!(
                batch_id = self.snapshot.batch_id(),
                "a task went on with a conversation whose cost so far is not known: all of its total is counted"
            );
        }
        end.bill = Some(bill);
        if let Some(pass) = self.pass(job)
            && pass.model.is_none()
            && let Some(model) = result.model.as_deref()
        {
            self.batches.gates.learn_default_model(&pass.credential, model);
        }
    }
}
