//! Starts that fail because a program, a folder or a resource is unavailable: they are retried, not counted as
//! failures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cc_batch::{
    Job,
    limits::{UNAVAILABLE_LONGEST_MS, UNAVAILABLE_WAIT_LONGEST_MS, WAIT_SHORTEST_MS},
    retry::{Class, Want},
};
use cc_events::Verdict;
use cc_protocol::batch::AttemptClass;
use tokio::time::sleep;

use crate::{
    batch::{attempt_end::JobEnd, messages::Message, owner::Owner, preconditions::Preconditions},
    config::limits,
};

impl Owner {
    /// Checks the preconditions of the batch's tasks.
    pub(super) async fn check_preconditions(&mut self) {
        let plan = Arc::clone(&self.snapshot.facts().plan);
        let current = self.batches.tasks.settings.current();
        let agent = current.config.agent.first().cloned();
        let path = current.environment.get("PATH").map(str::to_owned);
        let checking = tokio::task::spawn_blocking(move || {
            Preconditions::check(&plan, agent.as_deref(), path.as_deref())
        });
        // A panic there is logged. Then no precondition holds, and a failed start is not retried.
        self.preconditions = checking.await.unwrap_or_default();
        for (index, attempts) in self.attempts.iter().enumerate() {
            let is_started = |attempt: &cc_protocol::batch::BatchAttempt| {
                let is_waited_for = attempt.class == Some(AttemptClass::Unavailable);
                attempt.verdict.is_some_and(|verdict| verdict != Verdict::SpawnFailed)
                    && !is_waited_for
            };
            if attempts.newest.iter().any(is_started)
                && let Some(task) = self.snapshot.facts().plan.tasks.get(index)
            {
                self.preconditions.has_started(&task.execute);
            }
        }
    }

    /// Classifies a start that failed because of something that existed before as unavailable: it is no failure of the
    /// task.
    pub(super) fn classify_failed_start(&mut self, job: Job, end: &mut JobEnd) {
        let plan = Arc::clone(&self.snapshot.facts().plan);
        let Job::Task(index) = job else { return };
        let Some(task) = plan.tasks.get(index).map(|task| &task.execute) else { return };
        let lacking = end.lacking();
        if end.attempt.verdict != Verdict::SpawnFailed && lacking.is_none() {
            return self.preconditions.has_started(task);
        }
        if lacking.is_some_and(|lacking| self.preconditions.existed(task, lacking))
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
                "a task cannot be started and waits"
            );
            end.limit = Some(words.chars().take(limits::BATCH_LIMIT_WORDS_CHARS).collect());
        }
    }

    /// Schedules another start of a hook that could not be started because something is unavailable, or whose worker an
    /// operator restarted; that is no failure of its task. Returns whether it did.
    pub(super) fn retry_hook(&mut self, job: Job, task_id: &str, end: &JobEnd) -> bool {
        match job {
            Job::Task(_) => return false,
            Job::Before(_) | Job::After(_) | Job::AfterBatch => {}
        }
        let shortest = Duration::from_millis(WAIT_SHORTEST_MS);
        let wait = if end.attempt.class == Class::Interrupted {
            // An operator restarted its worker: it is no failure either.
            shortest
        } else if matches!(end.attempt.class, Class::Unavailable { .. }) {
            let waited = self.hooks_unavailable_since.get_or_insert_with(Instant::now).elapsed();
            if waited >= Duration::from_millis(UNAVAILABLE_LONGEST_MS) {
                return false;
            }
            waited.clamp(shortest, Duration::from_millis(UNAVAILABLE_WAIT_LONGEST_MS))
        } else {
            self.hooks_unavailable_since = None;
            return false;
        };
        let (messages, task_id) = (self.to_self.clone(), task_id.to_owned());
        tokio::spawn(async move {
            sleep(wait).await;
            // The owner may be gone: the next one asks for the hook again.
            messages.send(Message::RetryHook { job, task_id }).await.ok();
        });
        true
    }
}
