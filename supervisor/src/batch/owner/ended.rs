//! The end of a job: judged, noted among the task's attempts, and passed to the state machine.

use cc_batch::{
    Input, Job,
    life::{Phase, Stop},
    retry::Class,
};
use cc_events::{Completed, EndReason, Verdict};

use crate::batch::{attempt_end::JobEnd, owner::Owner, render};

impl Owner {
    pub(super) fn ended(&mut self, job: Job, task_id: String, mut end: JobEnd) {
        match self.batch.as_ref().map(|batch| &batch.head.phase) {
            // A person canceled the batch: the task's result does not count.
            Some(Phase::Stopping { stop: Stop::Canceled }) | None => {}
            Some(Phase::Stopping { .. }) => end.keep_good_result(),
            Some(Phase::Going | Phase::AfterBatch { .. } | Phase::Over { .. }) => {}
        }
        if matches!(job, Job::Task(_)) && self.snapshot.facts().plan.options.strict {
            end.fail_on_warnings();
        }
        self.classify_failed_start(job, &mut end);
        if self.retry_hook(job, &task_id, &end) {
            return;
        }
        self.count_money(job, &mut end);
        match end.attempt.class {
            Class::Limit { .. } => self.leaving.push(job),
            Class::Done
            | Class::Transient { .. }
            | Class::Unavailable { .. }
            | Class::Interrupted
            | Class::Lost
            | Class::TimedOut
            | Class::Never { .. } => self.leave_gate(job),
        }
        self.batches.tasks.metrics.batches.attempt_ended(end.attempt.class);
        match job {
            Job::Task(index) => {
                let reason = end.completed.as_ref().map(|completed| completed.reason);
                if reason == Some(EndReason::Canceled)
                    && end.attempt.verdict != Verdict::Succeeded
                    && let Some(batch) = &self.batch
                    && let Some(why) = render::why_ended(batch, index, &task_id)
                {
                    end.error = Some(why);
                }
                if let Some(attempts) = self.attempts.get_mut(index) {
                    attempts.end(&task_id, &end);
                    self.dirty.insert(index);
                }
                if self.is_referred_to(index)
                    && let Some(text) = end.text.filter(|_| end.attempt.has_result)
                {
                    self.results.push((index, text));
                }
            }
            Job::Before(index) if end.attempt.verdict != Verdict::Succeeded => {
                if let Some(attempts) = self.attempts.get_mut(index) {
                    attempts.error = end.error.or_else(|| end.completed.map(|end| exit_text(&end)));
                    self.dirty.insert(index);
                }
            }
            Job::Before(_) | Job::After(_) | Job::AfterBatch => {}
        }
        self.inputs.push_back(Input::Ended { job, task_id, end: end.attempt });
    }

    fn is_referred_to(&self, index: usize) -> bool {
        let needs = self.snapshot.facts().plan.needs();
        needs.iter().flatten().any(|need| need.task == index && need.result)
    }
}

fn exit_text(completed: &Completed) -> String {
    match completed.signal {
        Some(signal) => format!("it died of signal {signal}"),
        None => format!("it exited with {}", completed.exit_code),
    }
}
