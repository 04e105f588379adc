//! What the attempts of a batch have cost.

use cc_batch::Job;
use cc_protocol::execute::Execute;

use crate::batch::owner::Owner;
use crate::batch::{attempt_end::End, attempts::Record, money};

impl Owner {
    /// What conversations have cost that this batch's tasks have led.
    pub(super) fn remember_totals(&self) {
        let mut totals = self.batches.totals();
        for total in self.records.iter().filter_map(|record| record.session.as_ref()) {
            totals.remember(total);
        }
    }

    pub(super) fn task(&self, job: Job) -> Option<&Execute> {
        let Job::Task(index) = job else { return None };
        self.snapshot.facts().plan.tasks.get(index).map(|task| &task.execute)
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
