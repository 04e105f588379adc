//! A supervisor that is as unlucky as one can be, and watches what the batch asks for.

use std::collections::{BTreeMap, BTreeSet};

use cc_events::Verdict;

use crate::{
    life::{Batch, Effect, Fate, Input, Job, Step, TaskState},
    plan::{OnLost, Plan},
    retry::{AttemptEnd, Class, Never, Transient, Want},
    rules::Rules,
};

/// A supervisor and its machine. It carries out every effect, unless it crashes before.
pub(super) struct World {
    rules: Rules,
    pub(super) batch: Batch,
    now_ms: u64,
    next_id: u32,
    /// Who asked for a place.
    queue: BTreeSet<Job>,
    /// Processes that run. They outlive the supervisor.
    running: BTreeMap<String, Job>,
    /// Who was told to end.
    told_to_end: BTreeSet<String>,
    /// Terminal events in the logs. They outlive everything.
    ends: BTreeMap<String, AttemptEnd>,
    /// Whose worker was killed.
    lost: BTreeSet<String>,
    /// Processes of each task itself that were started, in order.
    pub(super) starts: BTreeMap<usize, Vec<String>>,
    questions: Vec<(Job, String)>,
    wake_at_ms: Option<u64>,
    pub(super) is_over: bool,
    mishap: Mishap,
}

/// What goes wrong at the next step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    /// The supervisor is killed before it has stored the state.
    BeforeStore,
    /// It is killed after that, before it has done anything.
    BeforeEffects,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let rules = Rules::of(plan);
        let step = Batch::begin(&rules, 42, 1_000);
        let mut world = Self {
            rules,
            batch: step.batch,
            now_ms: 1_000,
            next_id: 0,
            queue: BTreeSet::new(),
            running: BTreeMap::new(),
            told_to_end: BTreeSet::new(),
            ends: BTreeMap::new(),
            lost: BTreeSet::new(),
            starts: BTreeMap::new(),
            questions: Vec::new(),
            wake_at_ms: None,
            is_over: false,
            mishap: Mishap::None,
        };
        world.carry_out(step.effects);
        world
    }

    fn tell(&mut self, input: Input) {
        let step = self.batch.clone().step(&self.rules, self.now_ms, input);
        let mishap = std::mem::replace(&mut self.mishap, Mishap::None);
        if mishap == Mishap::BeforeStore {
            return self.restart();
        }
        self.check(&step);
        // The state is as it was stored and read again.
        let stored = serde_json::to_string(&step.batch).unwrap();
        self.batch = serde_json::from_str(&stored).unwrap();
        if mishap == Mishap::BeforeEffects {
            return self.restart();
        }
        self.carry_out(step.effects);
    }

    fn check(&self, step: &Step) {
        for (task, (before, after)) in self.batch.tasks.iter().zip(&step.batch.tasks).enumerate() {
            if before != after {
                assert!(step.changed.contains(&task), "task {task} has changed and nobody says so");
                assert!(!before.is_settled(), "task {task} got a second end");
            }
            if let (Some(before), Some(after)) = (before.outcome(), after.outcome()) {
                assert_eq!(before, after, "task {task} got a second verdict");
            }
        }
        let under_way = step.batch.tasks.iter().filter(|task| task.is_under_way()).count();
        assert!(under_way <= self.rules.jobs, "{under_way} tasks are under way");
        if self.batch.is_over() {
            assert_eq!(step.batch, self.batch, "something happened after the end");
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(!self.is_over, "after the end: {effect:?}");
            match effect {
                Effect::Enqueue { job } => {
                    self.queue.insert(job);
                }
                Effect::Withdraw { job } => assert!(
                    self.queue.remove(&job) || self.was_asked(),
                    "{job:?} was withdrawn and had not asked"
                ),
                Effect::Start { job, task_id, attempt } => self.start(job, task_id, attempt),
                Effect::End { task_id, .. } => {
                    self.told_to_end.insert(task_id);
                }
                Effect::AskFate { job, task_id } => self.questions.push((job, task_id)),
                Effect::CloseGate { until_ms, .. } => assert!(until_ms > self.now_ms),
                Effect::WakeAt { at_ms } => {
                    assert!(at_ms > self.now_ms, "a timer in the past would never rest");
                    self.wake_at_ms = Some(at_ms);
                }
                Effect::Over => {
                    assert!(self.running.is_empty(), "over, and something runs");
                    self.is_over = true;
                }
            }
        }
    }

    /// After a restart a job may be withdrawn before it has asked again.
    fn was_asked(&self) -> bool {
        !self.questions.is_empty()
    }

    fn start(&mut self, job: Job, task_id: String, attempt: u32) {
        if self.rules.jobs == 1 {
            assert!(self.running.is_empty(), "{job:?} began beside {:?}", self.running);
        }
        assert!(self.running.len() < self.rules.jobs.max(1));
        if let Job::Task(task) = job {
            for need in &self.rules.tasks[task].needs {
                let needed = &self.batch.tasks[need.task];
                assert!(needed.is_settled(), "task {task} began before {}", need.task);
                assert!(!need.result || needed.outcome().is_some_and(|end| end.has_result));
            }
            if self.rules.jobs == 1 && self.rules.tasks.iter().all(|task| task.needs.is_empty()) {
                assert!(self.batch.tasks[..task].iter().all(TaskState::is_settled));
            }
            let starts = self.starts.entry(task).or_default();
            if let Some(before) = starts.last() {
                let end = self.ends.get(before);
                let may_follow = match end.map(|end| end.class) {
                    Some(
                        Class::Transient { .. } | Class::Limit { .. } | Class::Unavailable { .. },
                    ) => true,
                    // Once more, where the credentials were good for another task.
                    Some(Class::Never { cause: Never::Auth | Never::Canceled }) => {
                        !self.batch.head.good_accounts.is_empty()
                    }
                    Some(Class::TimedOut) => self.rules.tasks[task].retry_timed_out,
                    Some(Class::Lost) | None => self.rules.on_lost == OnLost::Retry,
                    Some(Class::Interrupted) => self.rules.on_lost != OnLost::Continue,
                    Some(Class::Done | Class::Never { .. }) => false,
                };
                assert!(may_follow, "task {task} began again after {end:?}");
            }
            starts.push(task_id.clone());
            assert!(attempt <= self.rules.tasks[task].retries + 1);
        }
        assert_eq!(self.running.insert(task_id, job), None, "an id was used twice");
    }

    /// The supervisor is killed and a new one starts. Its processes live on.
    fn restart(&mut self) {
        self.queue.clear();
        self.questions.clear();
        self.wake_at_ms = None;
        self.is_over = false;
        self.tell(Input::Restarted);
    }

    fn answer_questions(&mut self, lose: bool) {
        // An answer may crash the supervisor, which then asks again.
        while let Some((job, task_id)) = self.questions.pop() {
            if self.running.contains_key(&task_id) && lose {
                self.running.remove(&task_id);
                self.lost.insert(task_id.clone());
            }
            let fate = |fate| Input::Fate { job, task_id: task_id.clone(), fate };
            let answer = if let Some(end) = self.ends.get(&task_id) {
                Input::Ended { job, task_id: task_id.clone(), end: *end }
            } else if self.running.contains_key(&task_id) {
                fate(Fate::Adopted)
            } else if self.lost.contains(&task_id) {
                fate(Fate::Lost)
            } else {
                fate(Fate::NeverBegan)
            };
            self.tell(answer);
        }
    }

    fn admit(&mut self, pick: u8) {
        let Some(job) = nth(self.queue.iter(), pick).copied() else { return };
        self.queue.remove(&job);
        self.next_id += 1;
        let task_id = format!("id-{}", self.next_id);
        self.tell(Input::Admitted { job, task_id });
    }

    fn end(&mut self, pick: u8, end: AttemptEnd) {
        let Some((task_id, job)) = nth(self.running.iter(), pick) else { return };
        let (task_id, job) = (task_id.clone(), *job);
        self.running.remove(&task_id);
        let end = if self.told_to_end.contains(&task_id) { canceled() } else { end };
        self.ends.insert(task_id.clone(), end);
        self.tell(Input::Ended { job, task_id, end });
    }

    fn pass_time(&mut self) {
        self.now_ms = self.wake_at_ms.take().unwrap_or(self.now_ms + 1_000);
        self.tell(Input::Time);
    }

    pub(super) fn act(&mut self, (action, pick, kind): (u8, u8, u8)) {
        match action {
            0..=2 => self.admit(pick),
            3..=5 => self.end(pick, any_end(kind)),
            6 => self.pass_time(),
            7 => self.restart(),
            8 => {
                self.mishap =
                    if kind % 2 == 0 { Mishap::BeforeStore } else { Mishap::BeforeEffects };
            }
            9 => {
                if let Some((task_id, job)) = nth(self.running.iter(), pick) {
                    let input = Input::AuthRefused { job: *job, task_id: task_id.clone() };
                    self.tell(input);
                }
            }
            10 if kind < 40 => self.tell(Input::Cancel),
            _ => self.tell_nonsense(pick, kind),
        }
        self.answer_questions(kind % 3 == 0);
    }

    /// Inputs that come too late, twice, or about another job.
    fn tell_nonsense(&mut self, pick: u8, kind: u8) {
        let job = match kind % 4 {
            0 => Job::Before(usize::from(pick)),
            1 => Job::Task(usize::from(pick % 9)),
            2 => Job::After(usize::from(pick % 9)),
            _ => Job::AfterBatch,
        };
        let task_id = "id-of-nobody".to_owned();
        self.tell(match pick % 5 {
            0 => Input::Ended { job, task_id, end: any_end(kind) },
            1 => Input::AuthRefused { job, task_id },
            2 => Input::Fate { job, task_id, fate: Fate::NeverBegan },
            3 => Input::LimitLifted { tasks: vec![usize::from(pick % 9), usize::from(kind)] },
            _ => Input::Fate { job, task_id, fate: Fate::Lost },
        });
    }

    /// From here on everything goes well.
    pub(super) fn finish(&mut self) {
        self.mishap = Mishap::None;
        for _ in 0..1_000 {
            self.answer_questions(false);
            if !self.queue.is_empty() {
                self.admit(0);
            } else if !self.running.is_empty() {
                self.end(0, any_end(0));
            } else if self.wake_at_ms.is_some() {
                self.pass_time();
            } else {
                break;
            }
        }
    }
}

fn nth<T>(items: impl ExactSizeIterator<Item = T>, pick: u8) -> Option<T> {
    let place = usize::from(pick).checked_rem(items.len())?;
    let mut items = items;
    items.nth(place)
}

fn canceled() -> AttemptEnd {
    end(Verdict::Canceled, Class::Never { cause: Never::Canceled })
}

fn end(verdict: Verdict, class: Class) -> AttemptEnd {
    AttemptEnd {
        verdict,
        class,
        cost_usd: 1.0,
        has_result: verdict == Verdict::Succeeded,
        sameness: None,
    }
}

fn any_end(kind: u8) -> AttemptEnd {
    match kind % 16 {
        0 | 1 => end(Verdict::Succeeded, Class::Done),
        2 => AttemptEnd { has_result: false, ..end(Verdict::Succeeded, Class::Done) },
        3 => end(Verdict::Failed, Class::Never { cause: Never::Failed }),
        4 => end(Verdict::Failed, Class::Transient { cause: Transient::Server }),
        5 => end(Verdict::RateLimited, Class::Limit { ends_at_ms: None }),
        6 => end(Verdict::RateLimited, Class::Limit { ends_at_ms: Some(5_000) }),
        7 => end(Verdict::TimedOut, Class::TimedOut),
        8 if kind > 200 => end(Verdict::Auth, Class::Never { cause: Never::Auth }),
        8 => canceled(),
        9 => end(Verdict::Canceled, Class::Interrupted),
        10 | 11 => end(Verdict::SpawnFailed, Class::Unavailable { want: Want::Means }),
        12 if kind > 150 => end(Verdict::Account, Class::Never { cause: Never::Account }),
        13 => end(Verdict::Failed, Class::Never { cause: Never::ModelNotFound }),
        12 | 14 => AttemptEnd {
            sameness: Some(u64::from(kind % 2)),
            ..end(Verdict::Failed, Class::Never { cause: Never::Failed })
        },
        _ => AttemptEnd::lost(),
    }
}
