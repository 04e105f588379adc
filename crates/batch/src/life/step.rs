//! One step: the input is taken to the job that it is about.

use std::collections::BTreeSet;

use cc_events::Verdict;

use super::{
    message::{Effect, Fate, Input, Job},
    state::{
        Alike, Attempt, Batch, Cause, Ending, Head, LostModel, Outcome, Phase, Run, Skip, Stop,
        TaskState,
    },
};
use crate::{
    limits::{ALIKE_LIMIT, UNAVAILABLE_LONGEST_MS, WAITS_LIMIT},
    plan::{Halt, OnAuthRefused, OnLost},
    retry::{self, AttemptEnd, Class, Never},
    rules::Rules,
};

/// What a step has made of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// To be stored before anything is done.
    pub batch: Batch,
    /// To be done then, in order.
    pub effects: Vec<Effect>,
    /// Tasks whose state is another one, each once, in order. The head may always be another one.
    pub changed: Vec<usize>,
}

impl Batch {
    /// A new batch, which begins at once.
    #[must_use]
    pub fn begin(rules: &Rules, seed: u64, now_ms: u64) -> Step {
        let head = Head {
            seed,
            begun_ms: now_ms,
            skipped_ms: 0,
            phase: Phase::Going,
            failures: 0,
            cost_usd: 0.0,
            alike: None,
            lost_models: Vec::new(),
            good_accounts: BTreeSet::new(),
            unavailable_since_ms: None,
        };
        let batch = Self { head, tasks: vec![TaskState::Waiting; rules.tasks.len()] };
        let mut stepping = Stepping::new(rules, batch, now_ms);
        // Nobody has been asked for a time yet.
        stepping.wake_before = None;
        stepping.finish()
    }

    /// Takes an input. `rules` are those that it began with.
    #[must_use]
    pub fn step(self, rules: &Rules, now_ms: u64, input: Input) -> Step {
        let mut stepping = Stepping::new(rules, self, now_ms);
        stepping.take(input);
        stepping.finish()
    }
}

/// A step under way.
pub(super) struct Stepping<'a> {
    pub(super) rules: &'a Rules,
    pub(super) batch: Batch,
    pub(super) now_ms: u64,
    pub(super) effects: Vec<Effect>,
    pub(super) changed: Vec<usize>,
    /// The time that the supervisor knows of.
    pub(super) wake_before: Option<u64>,
}

/// An attempt that follows another: see [`TaskState::RetryAt`].
#[derive(Clone, Copy)]
struct Next {
    at_ms: u64,
    number: u32,
    waits: u32,
}

impl<'a> Stepping<'a> {
    fn new(rules: &'a Rules, batch: Batch, now_ms: u64) -> Self {
        let mut stepping = Self {
            rules,
            batch,
            now_ms,
            effects: Vec::new(),
            changed: Vec::new(),
            wake_before: None,
        };
        stepping.wake_before = stepping.next_wake();
        stepping
    }

    fn finish(mut self) -> Step {
        self.go_on();
        self.changed.sort_unstable();
        self.changed.dedup();
        Step { batch: self.batch, effects: self.effects, changed: self.changed }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Admitted { job, task_id } => self.admitted(job, task_id),
            Input::Ended { job, task_id, end } => self.ended(job, &task_id, &end),
            Input::AuthRefused { job, task_id } => self.auth_refused(job, &task_id),
            Input::Fate { job, task_id, fate } => match fate {
                Fate::Adopted => {}
                Fate::NeverBegan => self.never_began(job, &task_id),
                Fate::Lost => self.ended(job, &task_id, &AttemptEnd::lost()),
            },
            Input::LimitLifted { tasks } => self.limit_lifted(&tasks),
            // What the time brings is looked at after every input.
            Input::Time => self.wake_before = None,
            Input::ClockMoved { by_ms } => self.clock_moved(by_ms),
            Input::Cancel => self.stop(Stop::Canceled),
            Input::Restarted => self.restarted(),
        }
    }

    /// How far the job is, if it is the one that is under way.
    fn run_of(&mut self, job: Job) -> Option<&mut Run> {
        match job {
            Job::AfterBatch => match &mut self.batch.head.phase {
                Phase::AfterBatch { run, .. } => Some(run),
                Phase::Going | Phase::Stopping { .. } | Phase::Over { .. } => None,
            },
            Job::Before(task) => match self.batch.tasks.get_mut(task)? {
                TaskState::Before { run } => Some(run),
                TaskState::Waiting
                | TaskState::Attempt { .. }
                | TaskState::RetryAt { .. }
                | TaskState::After { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => None,
            },
            Job::Task(task) => match self.batch.tasks.get_mut(task)? {
                TaskState::Attempt { run, .. } => Some(run),
                TaskState::Waiting
                | TaskState::Before { .. }
                | TaskState::RetryAt { .. }
                | TaskState::After { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => None,
            },
            Job::After(task) => match self.batch.tasks.get_mut(task)? {
                TaskState::After { run, .. } => Some(run),
                TaskState::Waiting
                | TaskState::Before { .. }
                | TaskState::Attempt { .. }
                | TaskState::RetryAt { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => None,
            },
        }
    }

    /// The job's own mark of why it was told to end, if it runs under this id.
    fn running(&mut self, job: Job, id: &str) -> Option<&mut Option<Ending>> {
        match self.run_of(job)? {
            Run::Running { task_id, ending } if task_id == id => Some(ending),
            Run::Running { .. } | Run::Queued => None,
        }
    }

    fn touch(&mut self, job: Job) {
        match job {
            Job::Before(task) | Job::Task(task) | Job::After(task) => self.changed.push(task),
            Job::AfterBatch => {}
        }
    }

    pub(super) fn set(&mut self, task: usize, state: TaskState) {
        if let Some(place) = self.batch.tasks.get_mut(task) {
            *place = state;
            self.changed.push(task);
        }
    }

    fn admitted(&mut self, job: Job, task_id: String) {
        match self.run_of(job) {
            Some(run @ Run::Queued) => {
                *run = Run::Running { task_id: task_id.clone(), ending: None };
            }
            // It was withdrawn meanwhile: without a start nothing comes of it.
            Some(Run::Running { .. }) | None => return,
        }
        self.touch(job);
        let attempt = self.attempt_number(job);
        self.effects.push(Effect::Start { job, task_id, attempt });
    }

    fn attempt_number(&self, job: Job) -> u32 {
        match job {
            Job::Task(task) => match self.batch.tasks.get(task) {
                Some(TaskState::Attempt { attempt, .. }) => attempt.number,
                Some(_) | None => 1,
            },
            Job::Before(_) | Job::After(_) | Job::AfterBatch => 1,
        }
    }

    fn limit_lifted(&mut self, tasks: &[usize]) {
        if self.batch.head.phase != Phase::Going {
            return;
        }
        for &task in tasks {
            if let Some(TaskState::RetryAt { number, waits, last, .. }) = self.batch.tasks.get(task)
                && matches!(last.cause, Cause::Attempt { end: Class::Limit { .. } })
            {
                let last = Some(last.clone());
                self.enqueue_attempt(task, Attempt { number: *number, waits: *waits, last });
            }
        }
    }

    fn never_began(&mut self, job: Job, id: &str) {
        if self.running(job, id).is_none() {
            return;
        }
        if let Some(run) = self.run_of(job) {
            *run = Run::Queued;
        }
        self.touch(job);
        self.effects.push(Effect::Enqueue { job });
    }

    fn auth_refused(&mut self, job: Job, id: &str) {
        if self.rules.on_auth_refused == OnAuthRefused::LetCliRetry {
            return;
        }
        match (job, self.running(job, id)) {
            (Job::Task(_), Some(ending @ None)) => *ending = Some(Ending::AuthRefused),
            // A hook's credentials are its own business; who is told to end is told once.
            (Job::Task(_), Some(Some(_)) | None) => return,
            (Job::Before(_) | Job::After(_) | Job::AfterBatch, _) => return,
        }
        self.touch(job);
        self.effects.push(Effect::End { job, task_id: id.to_owned() });
    }

    fn ended(&mut self, job: Job, id: &str, end: &AttemptEnd) {
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
                    Outcome {
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

    pub(super) fn enqueue_attempt(&mut self, task: usize, attempt: Attempt) {
        self.set(task, TaskState::Attempt { attempt, run: Run::Queued });
        self.effects.push(Effect::Enqueue { job: Job::Task(task) });
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
        let outcome = Outcome {
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
        outcome: &Outcome,
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
    pub(super) fn conclude(&mut self, task: usize, outcome: Outcome) {
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
fn is_refusal(outcome: &Outcome) -> bool {
    matches!(
        outcome.cause,
        Cause::Attempt { end: Class::Never { cause: Never::Auth | Never::Forbidden } }
    )
}
