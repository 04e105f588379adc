//! What follows by itself after every input: the time, tasks whose turn has come, the end.

use super::{
    message::{Effect, Job},
    state::{Attempt, Ending, Phase, Run, Skip, Stop, TaskState},
    step::Stepping,
};

impl Stepping<'_> {
    /// Goes as far as it goes without another input.
    pub(super) fn go_on(&mut self) {
        if self.deadline().is_some_and(|deadline| self.now_ms >= deadline) {
            self.stop(Stop::MaxTime);
        }
        match self.batch.head.phase {
            Phase::Going => {
                self.wake_tasks();
                self.give_up_lost_models();
                // A verdict that is given here may stop the batch.
                if self.batch.head.phase == Phase::Going {
                    self.skip_what_cannot_begin();
                    self.begin_tasks();
                }
            }
            Phase::Stopping { .. } | Phase::AfterBatch { .. } | Phase::Over { .. } => {}
        }
        // A verdict that is given here may make the stop a harder one.
        while let Phase::Stopping { stop } = self.batch.head.phase {
            self.settle(stop);
            if self.batch.head.phase == (Phase::Stopping { stop }) {
                break;
            }
        }
        self.end_if_settled();
        match self.next_wake() {
            Some(at_ms) if self.wake_before != Some(at_ms) => {
                self.effects.push(Effect::WakeAt { at_ms });
            }
            Some(_) | None => {}
        }
    }

    /// The earliest time at which something happens by itself.
    pub(super) fn next_wake(&self) -> Option<u64> {
        // When it is over only hooks are left, which it does not concern.
        let deadline = self.deadline().filter(|deadline| *deadline > self.now_ms);
        match self.batch.head.phase {
            Phase::Going => {
                let retries = self.batch.tasks.iter().filter_map(retry_at_ms);
                retries.chain(deadline).min()
            }
            // What runs may end by itself, but not after the batch's time.
            Phase::Stopping { stop } if !stop.ends_running() => deadline,
            Phase::Stopping { .. } | Phase::AfterBatch { .. } | Phase::Over { .. } => None,
        }
    }

    fn deadline(&self) -> Option<u64> {
        let head = &self.batch.head;
        let began_ms = head.begun_ms.saturating_add_signed(head.skipped_ms);
        self.rules.max_time_ms.map(|most| began_ms.saturating_add(most))
    }

    /// Attempts whose wait is over.
    fn wake_tasks(&mut self) {
        for task in 0..self.batch.tasks.len() {
            match &self.batch.tasks[task] {
                TaskState::RetryAt { at_ms, number, waits, last } if *at_ms <= self.now_ms => {
                    let attempt =
                        Attempt { number: *number, waits: *waits, last: Some(last.clone()) };
                    self.enqueue_attempt(task, attempt);
                }
                TaskState::RetryAt { .. }
                | TaskState::Waiting
                | TaskState::Before { .. }
                | TaskState::Attempt { .. }
                | TaskState::After { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => {}
            }
        }
    }

    /// Tasks whose model does not exist: those that have begun end on their own, no other begins.
    fn give_up_lost_models(&mut self) {
        if self.batch.head.lost_models.is_empty() {
            return;
        }
        for task in 0..self.batch.tasks.len() {
            let Some(first) = self.lost_model_of(task) else { continue };
            let skipped = TaskState::Skipped { skip: Skip::ModelNotFound { task: first } };
            match &self.batch.tasks[task] {
                TaskState::Waiting => self.set(task, skipped),
                TaskState::Attempt { attempt, run: Run::Queued } => {
                    let last = attempt.last.clone();
                    self.effects.push(Effect::Withdraw { job: Job::Task(task) });
                    match last {
                        Some(last) => self.conclude(task, last),
                        None => self.set(task, skipped),
                    }
                }
                TaskState::RetryAt { last, .. } => {
                    let last = last.clone();
                    self.conclude(task, last);
                }
                TaskState::Before { .. }
                | TaskState::Attempt { .. }
                | TaskState::After { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => {}
            }
        }
    }

    /// Who was refused the task's model first.
    fn lost_model_of(&self, task: usize) -> Option<usize> {
        let rules = self.rules.tasks.get(task).filter(|rules| rules.is_agent)?;
        let lost = self.batch.head.lost_models.iter();
        let mut lost =
            lost.filter(|lost| (&lost.model, lost.account) == (&rules.model, rules.account));
        lost.next().map(|lost| lost.task)
    }

    /// Every task stands after those that it needs, so that one pass finds them all.
    fn skip_what_cannot_begin(&mut self) {
        let rules = self.rules;
        for &task in &rules.order {
            if self.batch.tasks.get(task) != Some(&TaskState::Waiting) {
                continue;
            }
            let needs = rules.tasks.get(task).map_or(&[][..], |rules| &rules.needs);
            let skip = needs.iter().find_map(|need| self.hindrance(need.task, need.result));
            if let Some(skip) = skip {
                self.set(task, TaskState::Skipped { skip });
            }
        }
    }

    /// Why a task that needs this one will never begin; `None` while it may.
    fn hindrance(&self, task: usize, needs_result: bool) -> Option<Skip> {
        match self.batch.tasks.get(task)? {
            TaskState::Skipped { .. } => Some(Skip::NeededTaskFailed { task }),
            TaskState::Over { outcome, .. } => {
                let may_fail = self.rules.tasks.get(task).is_some_and(|rules| rules.allow_failure);
                if !outcome.has_succeeded() && !may_fail {
                    Some(Skip::NeededTaskFailed { task })
                } else if needs_result && !outcome.has_result {
                    Some(Skip::NoResult { task })
                } else {
                    None
                }
            }
            TaskState::Waiting
            | TaskState::Before { .. }
            | TaskState::Attempt { .. }
            | TaskState::RetryAt { .. }
            | TaskState::After { .. } => None,
        }
    }

    /// Fills the free places, by position.
    fn begin_tasks(&mut self) {
        let under_way = self.batch.tasks.iter().filter(|task| task.is_under_way()).count();
        let mut places = self.rules.jobs.saturating_sub(under_way);
        for task in 0..self.batch.tasks.len() {
            if places == 0 {
                return;
            }
            if self.batch.tasks[task] != TaskState::Waiting || !self.has_what_it_needs(task) {
                continue;
            }
            places -= 1;
            if self.rules.before_task {
                self.set(task, TaskState::Before { run: Run::Queued });
                self.effects.push(Effect::Enqueue { job: Job::Before(task) });
            } else {
                self.enqueue_attempt(task, Attempt { number: 1, waits: 0, last: None });
            }
        }
    }

    /// Tasks that could never begin were skipped before, so a needed task that is over has the end that is needed.
    fn has_what_it_needs(&self, task: usize) -> bool {
        let needs = self.rules.tasks.get(task).map_or(&[][..], |rules| &rules.needs);
        needs.iter().all(|need| self.batch.tasks.get(need.task).is_none_or(TaskState::is_settled))
    }

    /// Begins to stop, unless that would change nothing. A stop that ends what runs takes the place of
    /// one that does not; otherwise the first one counts.
    pub(super) fn stop(&mut self, stop: Stop) {
        match self.batch.head.phase {
            Phase::Going => {
                let is_left = |task: &TaskState| !task.is_settled() && task.outcome().is_none();
                if self.batch.tasks.iter().any(is_left) {
                    self.batch.head.phase = Phase::Stopping { stop };
                }
            }
            Phase::Stopping { stop: first } if stop.ends_running() && !first.ends_running() => {
                self.batch.head.phase = Phase::Stopping { stop };
            }
            Phase::Stopping { .. } | Phase::AfterBatch { .. } | Phase::Over { .. } => {}
        }
    }

    /// Ends whatever has not begun, and with a stop that says so also what has.
    fn settle(&mut self, stop: Stop) {
        for task in 0..self.batch.tasks.len() {
            let skipped = TaskState::Skipped { skip: Skip::Stopped { stop } };
            match &self.batch.tasks[task] {
                TaskState::Waiting => self.set(task, skipped),
                TaskState::Before { run: Run::Queued } => {
                    self.effects.push(Effect::Withdraw { job: Job::Before(task) });
                    self.set(task, skipped);
                }
                TaskState::Attempt { attempt, run: Run::Queued } => {
                    let last = attempt.last.clone();
                    self.effects.push(Effect::Withdraw { job: Job::Task(task) });
                    match last {
                        Some(last) => self.conclude(task, last),
                        None => self.set(task, skipped),
                    }
                }
                TaskState::RetryAt { last, .. } => {
                    let last = last.clone();
                    self.conclude(task, last);
                }
                TaskState::Before { run: Run::Running { .. } } if stop.ends_running() => {
                    self.end_job(task, Job::Before(task));
                }
                TaskState::Attempt { run: Run::Running { .. }, .. } if stop.ends_running() => {
                    self.end_job(task, Job::Task(task));
                }
                // A hook after a task has a time limit, and users rely on it.
                TaskState::Before { .. }
                | TaskState::Attempt { .. }
                | TaskState::After { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => {}
            }
        }
    }

    /// Tells a running job to end, once.
    fn end_job(&mut self, task: usize, job: Job) {
        let run = match self.batch.tasks.get_mut(task) {
            Some(TaskState::Before { run } | TaskState::Attempt { run, .. }) => run,
            Some(_) | None => return,
        };
        if let Run::Running { task_id, ending: ending @ None } = run {
            *ending = Some(Ending::Stop);
            let task_id = task_id.clone();
            self.changed.push(task);
            self.effects.push(Effect::End { job, task_id });
        }
    }

    fn end_if_settled(&mut self) {
        let stop = match self.batch.head.phase {
            Phase::Going => None,
            Phase::Stopping { stop } => Some(stop),
            Phase::AfterBatch { .. } | Phase::Over { .. } => return,
        };
        if !self.batch.tasks.iter().all(TaskState::is_settled) {
            return;
        }
        if self.rules.after_batch {
            self.batch.head.phase = Phase::AfterBatch { stop, run: Run::Queued };
            self.effects.push(Effect::Enqueue { job: Job::AfterBatch });
        } else {
            self.batch.head.phase = Phase::Over { stop, after_batch_failed: false };
            self.effects.push(Effect::Over);
        }
    }

    /// The `after_batch` hook has ended.
    pub(super) fn over(&mut self, after_batch_failed: bool) {
        if let Phase::AfterBatch { stop, .. } = self.batch.head.phase {
            self.batch.head.phase = Phase::Over { stop, after_batch_failed };
            self.effects.push(Effect::Over);
        }
    }

    /// Asks for everything again that a supervisor before may not have done.
    pub(super) fn restarted(&mut self) {
        self.wake_before = None;
        let mut asked = Vec::new();
        for (task, state) in self.batch.tasks.iter().enumerate() {
            let (job, run) = match state {
                TaskState::Before { run } => (Job::Before(task), run),
                TaskState::Attempt { run, .. } => (Job::Task(task), run),
                TaskState::After { run, .. } => (Job::After(task), run),
                TaskState::Waiting
                | TaskState::RetryAt { .. }
                | TaskState::Over { .. }
                | TaskState::Skipped { .. } => continue,
            };
            ask_again(job, run, &mut asked);
        }
        match &self.batch.head.phase {
            Phase::AfterBatch { run, .. } => ask_again(Job::AfterBatch, run, &mut asked),
            Phase::Over { .. } => asked.push(Effect::Over),
            Phase::Going | Phase::Stopping { .. } => {}
        }
        self.effects.append(&mut asked);
    }
}

fn ask_again(job: Job, run: &Run, asked: &mut Vec<Effect>) {
    match run {
        Run::Queued => asked.push(Effect::Enqueue { job }),
        Run::Running { task_id, ending } => {
            asked.push(Effect::AskFate { job, task_id: task_id.clone() });
            if ending.is_some() {
                asked.push(Effect::End { job, task_id: task_id.clone() });
            }
        }
    }
}

fn retry_at_ms(task: &TaskState) -> Option<u64> {
    match task {
        TaskState::RetryAt { at_ms, .. } => Some(*at_ms),
        TaskState::Waiting
        | TaskState::Before { .. }
        | TaskState::Attempt { .. }
        | TaskState::After { .. }
        | TaskState::Over { .. }
        | TaskState::Skipped { .. } => None,
    }
}
