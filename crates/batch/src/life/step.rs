//! One step: the input is taken to the job that it is about.

use std::collections::BTreeSet;

use super::{
    message::{Effect, Fate, Input, Job},
    state::{Attempt, Batch, Cause, Ending, Head, Phase, Run, Stop, TaskState},
};
use crate::{
    plan::OnAuthRefused,
    retry::{AttemptEnd, Class},
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
        // No timer has been set yet.
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

pub(super) struct Stepping<'a> {
    pub(super) rules: &'a Rules,
    pub(super) batch: Batch,
    pub(super) now_ms: u64,
    pub(super) effects: Vec<Effect>,
    pub(super) changed: Vec<usize>,
    /// The time that the supervisor knows of.
    pub(super) wake_before: Option<u64>,
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
    pub(super) fn running(&mut self, job: Job, id: &str) -> Option<&mut Option<Ending>> {
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
            // A hook's credentials are no concern of the batch, and a job is ended only once.
            (Job::Task(_), Some(Some(_)) | None) => return,
            (Job::Before(_) | Job::After(_) | Job::AfterBatch, _) => return,
        }
        self.touch(job);
        self.effects.push(Effect::End { job, task_id: id.to_owned() });
    }

    pub(super) fn enqueue_attempt(&mut self, task: usize, attempt: Attempt) {
        self.set(task, TaskState::Attempt { attempt, run: Run::Queued });
        self.effects.push(Effect::Enqueue { job: Job::Task(task) });
    }
}
