//! What follows the end of a job: another attempt, or a verdict and what it means for the batch.

use cc_events::Verdict;

use super::{
    message::{Effect, Job},
    state::{
        Alike, Attempt, Cause, Ending, LostModel, Phase, Run, Skip, Stop, TaskOutcome, TaskState,
    },
    step::Stepping,
};
use crate::{
    limits::{ALIKE_LIMIT, UNAVAILABLE_LONGEST_MS, WAITS_LIMIT},
    plan::{Halt, OnLost},
    retry::{self, AttemptEnd, Class, Never},
};

/// An attempt that follows another: see [`TaskState::RetryAt`].
#[derive(Clone, Copy)]
struct Next {
    at_ms: u64,
    number: u32,
    waits: u32,
}

impl Stepping<'_> {
    pub(super) fn ended(&mut self, job: Job, id: &str, end: &AttemptEnd) {
        let Some(ending) = self.running(job, id).map(|ending| *ending) else { return };
        // A hook that is a Claude task costs too.
        self.batch.head.cost_usd += end.cost_usd;
        let has_failed = end.verdict != Verdict::Succeeded;
        match job {
            Job::Before(task) => self.before_ended(task, ending, has_failed),
            Job::Task(task) => self.attempt_ended(task, id, ending, end),
            Job::After(task) => {
                if let Some(outcome) = self.batch.tasks.get(task).and_then(TaskState::outcome) {
                    let outcome = outcome.clone();
                    self.set(task, TaskState::Over { outcome, after_task_failed: has_failed });
                }
            }
            Job::AfterBatch => self.over(has_failed),
        }
        self.check_cost();
    }

    fn before_ended(&mut self, task: usize, ending: Option<Ending>, has_failed: bool) {
        match (&self.batch.head.phase, ending) {
            (Phase::Stopping { stop }, _) if ending.is_some() || !has_failed => {
                let stop = *stop;
                self.set(task, TaskState::Skipped { skip: Skip::Stopped { stop } });
            }
            _ if has_failed => {
                self.conclude(
                    task,
                    TaskOutcome {
                        verdict: Verdict::Failed,
                        cause: Cause::BeforeTaskFailed,
                        task_id: None,
                        attempts: 0,
                        waits: 0,
                        has_result: false,
                    },
                );
            }
            _ => self.enqueue_attempt(task, Attempt { number: 1, waits: 0, last: None }),
        }
    }

    fn attempt_ended(&mut self, task: usize, id: &str, ending: Option<Ending>, end: &AttemptEnd) {
        let Some(TaskState::Attempt { attempt, .. }) = self.batch.tasks.get(task) else { return };
        let (number, waits) = (attempt.number, attempt.waits);
        let was_refused_before = attempt.last.as_ref().is_some_and(is_refusal);
        let is_lost = end.class == Class::Lost;
        let mut end = *end;
        let has_succeeded = end.verdict == Verdict::Succeeded;
        let mut cause = Cause::Attempt { end: end.class };
        match ending {
            Some(Ending::AuthRefused) if !has_succeeded => {
                end.verdict = Verdict::Auth;
                end.class = Class::Never { cause: Never::Auth };
                cause = Cause::Attempt { end: end.class };
            }
            Some(Ending::Stop) if end.verdict == Verdict::Canceled => cause = Cause::Stopped,
            Some(Ending::AuthRefused | Ending::Stop) | None => {}
        }
        self.note_end(task, &end);
        let outcome = TaskOutcome {
            verdict: end.verdict,
            cause,
            task_id: Some(id.to_owned()),
            attempts: number,
            waits,
            has_result: end.has_result,
        };
        let next = match self.next_attempt(task, &end, number, waits) {
            None if is_refusal(&outcome) && !was_refused_before && !is_lost => {
                self.after_refusal(task, &outcome, number, waits)
            }
            next => next,
        };
        // Others must not run into the same wall, whatever becomes of this task.
        if let (Class::Limit { .. }, Some(next)) = (end.class, next) {
            let until_ms = next.at_ms;
            self.effects.push(Effect::CloseGate { job: Job::Task(task), until_ms });
        }
        match next.filter(|_| self.batch.head.phase == Phase::Going) {
            Some(Next { at_ms, number, waits }) => {
                self.set(task, TaskState::RetryAt { at_ms, number, waits, last: outcome });
            }
            None => {
                self.conclude(task, outcome);
                self.note_sameness(task, end.sameness);
            }
        }
    }

    /// What an attempt's end says of others.
    fn note_end(&mut self, task: usize, end: &AttemptEnd) {
        let Some(rules) = self.rules.tasks.get(task) else { return };
        let head = &mut self.batch.head;
        match end.class {
            Class::Unavailable { .. } => {
                head.unavailable_since_ms.get_or_insert(self.now_ms);
            }
            // It was started.
            Class::Done
            | Class::Transient { .. }
            | Class::Limit { .. }
            | Class::Interrupted
            | Class::Lost
            | Class::TimedOut
            | Class::Never { .. } => head.unavailable_since_ms = None,
        }
        match end.class {
            Class::Done => {
                head.good_accounts.insert(rules.account);
            }
            Class::Never { cause: Never::ModelNotFound | Never::LongContext } => {
                let lost = LostModel { model: rules.model.clone(), account: rules.account, task };
                let is_same = |known: &LostModel| {
                    (&known.model, known.account) == (&lost.model, lost.account)
                };
                if !head.lost_models.iter().any(is_same) {
                    head.lost_models.push(lost);
                }
            }
            Class::Transient { .. }
            | Class::Limit { .. }
            | Class::Unavailable { .. }
            | Class::Interrupted
            | Class::Lost
            | Class::TimedOut
            | Class::Never { .. } => {}
        }
    }

    /// Credentials were refused that were good for another task of this batch, or that the CLI did not try twice: CLIs
    /// race for a token that one of them has just renewed. The loser tries once more before all of them are stopped.
    fn after_refusal(
        &self,
        task: usize,
        outcome: &TaskOutcome,
        number: u32,
        waits: u32,
    ) -> Option<Next> {
        let account = self.rules.tasks.get(task)?.account;
        let seed = self.batch.head.seed;
        let at_ms = retry::backoff_until_ms(self.now_ms, 1, seed, task);
        let is_known_good = self.batch.head.good_accounts.contains(&account);
        let was_tried_once =
            outcome.cause == Cause::Attempt { end: Class::Never { cause: Never::Forbidden } };
        (is_known_good || was_tried_once).then_some(Next { at_ms, number, waits })
    }

    /// Tasks in a row that end alike without a turn have met something that no other task will fare better with.
    fn note_sameness(&mut self, task: usize, sameness: Option<u64>) {
        let before = self.batch.head.alike.take();
        let Some(sameness) = sameness else { return };
        let tasks = match before {
            Some(alike) if alike.sameness == sameness => alike.tasks.saturating_add(1),
            Some(_) | None => 1,
        };
        self.batch.head.alike = Some(Alike { sameness, tasks, last: task });
        if tasks >= ALIKE_LIMIT {
            self.stop(Stop::Alike);
        }
    }

    /// The attempt that follows, if any does.
    fn next_attempt(&self, task: usize, end: &AttemptEnd, number: u32, waits: u32) -> Option<Next> {
        let rules = self.rules.tasks.get(task)?;
        let seed = self.batch.head.seed;
        let counts = match end.class {
            Class::Done | Class::Never { .. } => false,
            Class::Limit { ends_at_ms } => {
                let at_ms = retry::limit_until_ms(self.now_ms, ends_at_ms, waits, seed, task);
                return (waits < WAITS_LIMIT).then_some(Next { at_ms, number, waits: waits + 1 });
            }
            Class::Unavailable { .. } => {
                let since_ms = self.batch.head.unavailable_since_ms.unwrap_or(self.now_ms);
                let is_patient = self.now_ms.saturating_sub(since_ms) < UNAVAILABLE_LONGEST_MS;
                let at_ms = retry::unavailable_until_ms(self.now_ms, since_ms, seed, task);
                return is_patient.then_some(Next { at_ms, number, waits });
            }
            Class::Interrupted if self.rules.on_lost == OnLost::Continue => false,
            Class::Interrupted => return Some(Next { at_ms: self.now_ms, number, waits }),
            Class::Transient { .. } => true,
            Class::TimedOut => rules.retry_timed_out,
            Class::Lost => self.rules.on_lost == OnLost::Retry,
        };
        if !counts || number > rules.retries {
            return None;
        }
        let at_ms = retry::backoff_until_ms(self.now_ms, number, seed, task);
        Some(Next { at_ms, number: number + 1, waits })
    }

    /// Gives a task its verdict, and draws the batch's conclusions from it.
    pub(super) fn conclude(&mut self, task: usize, outcome: TaskOutcome) {
        let settled = outcome.clone();
        if self.rules.after_task {
            self.set(task, TaskState::After { run: Run::Queued, outcome: settled });
            self.effects.push(Effect::Enqueue { job: Job::After(task) });
        } else {
            self.set(task, TaskState::Over { outcome: settled, after_task_failed: false });
        }
        if outcome.has_succeeded() {
            return;
        }
        match outcome.cause {
            Cause::Attempt { end: Class::Never { cause: Never::Account } } => {
                self.stop(Stop::Account);
            }
            Cause::Attempt { end: Class::Unavailable { .. } } => self.stop(Stop::Unavailable),
            Cause::Attempt { .. } if outcome.verdict == Verdict::Auth => self.stop(Stop::Auth),
            Cause::Attempt { .. } | Cause::BeforeTaskFailed | Cause::Stopped => {}
        }
        let is_lost = outcome.cause == Cause::Attempt { end: Class::Lost };
        if is_lost && self.rules.on_lost == OnLost::Stop {
            self.stop(Stop::Lost);
        }
        if self.rules.tasks.get(task).is_some_and(|rules| rules.allow_failure) {
            return;
        }
        self.batch.head.failures = self.batch.head.failures.saturating_add(1);
        match self.rules.halt {
            Halt::Soon { failures } if self.batch.head.failures >= failures => {
                self.stop(Stop::HaltSoon);
            }
            Halt::Now { failures } if self.batch.head.failures >= failures => {
                self.stop(Stop::HaltNow);
            }
            Halt::Never | Halt::Soon { .. } | Halt::Now { .. } => {}
        }
    }

    fn check_cost(&mut self) {
        if self.rules.max_cost_usd.is_some_and(|most| self.batch.head.cost_usd >= most) {
            self.stop(Stop::MaxCost);
        }
    }
}

/// Whether the credentials were refused.
fn is_refusal(outcome: &TaskOutcome) -> bool {
    matches!(
        outcome.cause,
        Cause::Attempt { end: Class::Never { cause: Never::Auth | Never::Forbidden } }
    )
}
