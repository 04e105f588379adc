//! What the attempts of a batch have cost.

use cc_batch::Job;
use cc_protocol::execute::Execute;

use crate::batch::{attempt_end::JobEnd, attempts::Attempts, money, owner::Owner};

impl Owner {
    /// Remembers the totals of the conversations of this batch's tasks.
    pub(super) fn remember_totals(&self) {
        let mut totals = self.batches.totals();
        for total in self.attempts.iter().filter_map(|attempts| attempts.session.as_ref()) {
            totals.remember(total);
        }
    }

    pub(super) fn task(&self, job: Job) -> Option<&Execute> {
        let Job::Task(index) = job else { return None };
        self.snapshot.facts().plan.tasks.get(index).map(|task| &task.execute)
    }

    /// Reads the totals of the conversation that a task resumes, if they are not in memory and a batch of an earlier
    /// supervisor has stored them.
    pub(super) async fn recall_conversation(&self, task: &Execute) {
        let Some(Some(id)) = money::resumed(task) else { return };
        if self.batches.totals().knows(&id) {
            return;
        }
        let mark = Attempts::session_mark(&id);
        let found =
            self.batches.tasks.store.read(move |db| db.newest_batch_record_with(&mark)).await;
        match found {
            Ok(Some(json)) => {
                let attempts = serde_json::from_str::<Attempts>(&json).ok();
                if let Some(total) = attempts.and_then(|attempts| attempts.session) {
                    self.batches.totals().remember(&total);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(batch_id = self.snapshot.batch_id(), %error, "the cost of a conversation cannot be read")
            }
        }
    }

    /// Computes the cost of the attempt alone.
    pub(super) fn count_money(&self, job: Job, end: &mut JobEnd) {
        let (Some(task), Some(result)) = (self.task(job), end.result.as_deref()) else { return };
        let bill = self.batches.totals().bill(task, end.completed.as_ref(), result);
        end.attempt.cost_usd = bill.sums.cost_usd.unwrap_or(0.0);
        if bill.may_contain_past {
            tracing::warn!(
                batch_id = self.snapshot.batch_id(),
                "a task resumed a conversation whose earlier cost is not known: its whole total is counted"
            );
        }
        let (metrics, sums) = (&self.batches.tasks.metrics, &bill.sums);
        metrics.tasks.cost(end.attempt.cost_usd);
        let cache = (sums.cache_read_tokens, sums.cache_creation_tokens);
        metrics.batches.tokens(sums.input_tokens, cache.0, cache.1, sums.output_tokens);
        end.bill = Some(bill);
        if let Some(pass) = self.pass(job)
            && pass.model.is_none()
            && let Some(model) = result.model.as_deref()
        {
            self.batches.gates.learn_default_model(&pass.credential, model);
        }
    }
}
