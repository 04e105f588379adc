//! A batch step by step: order, needs, hooks and restarts.

use cc_events::Verdict;
use serde_json::{Value, json};

use super::*;
use crate::{
    limits::WAITS_LIMIT,
    plan::Plan,
    retry::{AttemptEnd, Class, Never, Transient},
    rules::Rules,
};

mod clock;
mod retries;
mod stops;

const NOW_MS: u64 = 1_790_000_000_000;

/// A batch, and what it has asked for since it was last looked at.
struct Driven {
    rules: Rules,
    batch: Batch,
    effects: Vec<Effect>,
    ids: u32,
}

fn begin(options: Value, tasks: Value) -> Driven {
    let plan: Plan = serde_json::from_value(json!({"options": options, "tasks": tasks})).unwrap();
    let rules = Rules::of(&plan);
    let step = Batch::begin(&rules, 1, NOW_MS);
    Driven { rules, batch: step.batch, effects: step.effects, ids: 0 }
}

fn prompts(count: usize) -> Value {
    json!(vec![json!({"prompt": "x"}); count])
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

fn succeeded() -> AttemptEnd {
    end(Verdict::Succeeded, Class::Done)
}

fn failed() -> AttemptEnd {
    end(Verdict::Failed, Class::Never { cause: Never::Failed })
}

fn overloaded() -> AttemptEnd {
    end(Verdict::Failed, Class::Transient { cause: Transient::Server })
}

fn limited() -> AttemptEnd {
    let ends_at_ms = Some(NOW_MS + 3_600_000);
    end(Verdict::RateLimited, Class::Limit { ends_at_ms })
}

impl Driven {
    fn tell_at(&mut self, now_ms: u64, input: Input) {
        let step = self.batch.clone().step(&self.rules, now_ms, input);
        self.batch = step.batch;
        self.effects.extend(step.effects);
    }

    fn tell(&mut self, input: Input) {
        self.tell_at(NOW_MS, input);
    }

    /// What was asked for since this was last called.
    fn asked(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn start(&mut self, job: Job) -> String {
        self.ids += 1;
        let task_id = format!("{}", self.ids);
        self.tell(Input::Admitted { job, task_id: task_id.clone() });
        let started = self.asked();
        let is_start =
            |effect: &Effect| matches!(effect, Effect::Start { task_id: id, .. } if *id == task_id);
        assert!(started.iter().any(is_start), "{job:?}: {started:?}");
        task_id
    }

    /// Starts the job and ends it.
    fn run(&mut self, job: Job, end: AttemptEnd) {
        let task_id = self.start(job);
        self.tell(Input::Ended { job, task_id, end });
    }

    fn verdict(&self, task: usize) -> Verdict {
        self.batch.tasks[task].outcome().unwrap().verdict
    }

    fn skip(&self, task: usize) -> Option<Skip> {
        let TaskState::Skipped { skip } = self.batch.tasks[task] else { return None };
        Some(skip)
    }

    /// The time that was asked for last.
    fn wake_at_ms(&mut self) -> u64 {
        let wake = |effect: &Effect| {
            let Effect::WakeAt { at_ms } = effect else { return None };
            Some(*at_ms)
        };
        self.asked().iter().rev().find_map(wake).unwrap()
    }
}

fn enqueue(job: Job) -> Effect {
    Effect::Enqueue { job }
}

#[test]
fn with_one_job_each_task_begins_after_the_end_of_the_one_before() {
    let mut run = begin(json!({}), prompts(3));
    assert_eq!(run.asked(), [enqueue(Job::Task(0))]);
    run.run(Job::Task(0), succeeded());
    assert_eq!(run.asked(), [enqueue(Job::Task(1))]);
    run.run(Job::Task(1), failed());
    assert_eq!(run.asked(), [enqueue(Job::Task(2))]);
    run.run(Job::Task(2), succeeded());
    assert_eq!(run.asked(), [Effect::Over]);
    assert_eq!(run.batch.head.phase, Phase::Over { stop: None, after_batch_failed: false });
    let expected = Counts { succeeded: 2, failed: 1, ..Counts::default() };
    assert_eq!(run.batch.counts(), expected);
    assert_eq!(run.batch.head.cost_usd, 3.0);
}

#[test]
fn nothing_is_started_twice_for_an_admission_that_comes_twice() {
    let mut run = begin(json!({}), prompts(1));
    run.start(Job::Task(0));
    run.tell(Input::Admitted { job: Job::Task(0), task_id: "other".to_owned() });
    assert_eq!(run.asked(), []);
}

#[test]
fn several_jobs_fill_the_places_by_position() {
    let mut run = begin(json!({"jobs": 2}), prompts(4));
    assert_eq!(run.asked(), [enqueue(Job::Task(0)), enqueue(Job::Task(1))]);
    let first = run.start(Job::Task(0));
    run.run(Job::Task(1), succeeded());
    assert_eq!(run.asked(), [enqueue(Job::Task(2))]);
    run.tell(Input::Ended { job: Job::Task(0), task_id: first, end: succeeded() });
    assert_eq!(run.asked(), [enqueue(Job::Task(3))]);
}

#[test]
fn who_needs_a_task_that_failed_is_skipped_and_so_is_who_needs_that_one() {
    let tasks = json!([
        {"name": "c", "prompt": "x", "needs": ["b"]},
        {"name": "b", "prompt": "{{tasks.a.result}}", "needs": ["a"]},
        {"name": "a", "prompt": "x"},
        {"name": "d", "prompt": "x"},
    ]);
    let mut run = begin(json!({}), tasks);
    assert_eq!(run.asked(), [enqueue(Job::Task(2))]);
    run.run(Job::Task(2), failed());
    assert_eq!(run.skip(1), Some(Skip::NeededTaskFailed { task: 2 }));
    assert_eq!(run.skip(0), Some(Skip::NeededTaskFailed { task: 1 }));
    assert_eq!(run.asked(), [enqueue(Job::Task(3))]);
}

#[test]
fn a_failure_that_is_allowed_holds_nobody_up_but_gives_no_result() {
    let tasks = json!([
        {"name": "a", "prompt": "x", "allow_failure": true},
        {"prompt": "x", "needs": ["a"]},
        {"prompt": "{{tasks.a.result}}"},
    ]);
    let mut run = begin(json!({"halt": "now,fail=1"}), tasks);
    run.run(Job::Task(0), failed());
    run.run(Job::Task(1), succeeded());
    assert_eq!(run.skip(2), Some(Skip::NoResult { task: 0 }));
    assert_eq!(run.batch.head.phase, Phase::Over { stop: None, after_batch_failed: false });
}

#[test]
fn after_a_restart_an_adopted_task_goes_on_and_what_never_began_begins() {
    let mut run = begin(json!({"jobs": 3}), prompts(3));
    let adopted = run.start(Job::Task(0));
    let never_began = run.start(Job::Task(1));
    run.tell(Input::Restarted);
    assert_eq!(run.asked().len(), 3);
    let fate = |job, task_id, fate| Input::Fate { job, task_id, fate };
    run.tell(fate(Job::Task(0), adopted.clone(), Fate::Adopted));
    run.tell(fate(Job::Task(1), never_began, Fate::NeverBegan));
    assert_eq!(run.asked(), [enqueue(Job::Task(1))]);
    run.tell(Input::Ended { job: Job::Task(0), task_id: adopted, end: succeeded() });
    run.run(Job::Task(1), succeeded());
    run.run(Job::Task(2), succeeded());
    assert_eq!(run.batch.counts().succeeded, 3);
}

#[test]
fn a_restart_asks_again_for_a_time_and_for_an_end() {
    let mut run = begin(json!({"jobs": 2}), prompts(2));
    run.run(Job::Task(0), overloaded());
    let at_ms = run.wake_at_ms();
    run.start(Job::Task(1));
    run.tell(Input::Restarted);
    assert!(run.asked().contains(&Effect::WakeAt { at_ms }));
    run.tell(Input::Cancel);
    run.asked();
    run.tell(Input::Restarted);
    assert!(run.asked().iter().any(|effect| matches!(effect, Effect::End { .. })));
}

#[test]
fn hooks_stand_before_and_after_each_task_and_at_the_end() {
    let hook = json!({"command": "x"});
    let hooks = json!({"before_task": hook, "after_task": hook, "after_batch": hook});
    let mut run = begin(json!({"hooks": hooks}), prompts(2));
    for task in 0..2 {
        for job in [Job::Before(task), Job::Task(task), Job::After(task)] {
            assert_eq!(run.asked(), [enqueue(job)]);
            run.run(job, succeeded());
        }
    }
    assert_eq!(run.asked(), [enqueue(Job::AfterBatch)]);
    run.run(Job::AfterBatch, failed());
    assert_eq!(run.asked(), [Effect::Over]);
    assert_eq!(run.batch.head.phase, Phase::Over { stop: None, after_batch_failed: true });
}

#[test]
fn a_failing_hook_before_a_task_fails_it_and_one_after_it_changes_nothing() {
    let hook = json!({"command": "x"});
    let mut run = begin(json!({"hooks": {"before_task": hook, "after_task": hook}}), prompts(2));
    run.run(Job::Before(0), failed());
    run.run(Job::After(0), succeeded());
    let outcome = run.batch.tasks[0].outcome().unwrap();
    assert_eq!((outcome.verdict, outcome.cause), (Verdict::Failed, Cause::BeforeTaskFailed));
    run.run(Job::Before(1), succeeded());
    run.run(Job::Task(1), succeeded());
    run.run(Job::After(1), failed());
    assert!(matches!(run.batch.tasks[1], TaskState::Over { after_task_failed: true, .. }));
    assert_eq!(run.verdict(1), Verdict::Succeeded);
}

#[test]
fn only_what_has_changed_is_said_to_have() {
    let run = begin(json!({}), prompts(3));
    let input = Input::Admitted { job: Job::Task(0), task_id: "a".to_owned() };
    let step = run.batch.clone().step(&run.rules, NOW_MS, input);
    assert_eq!(step.changed, [0]);
    let step = run.batch.clone().step(&run.rules, NOW_MS, Input::Restarted);
    assert!(step.changed.is_empty());
}

#[test]
fn ten_thousand_tasks_that_are_skipped_at_once_are_skipped_in_one_step() {
    let tasks: Vec<Value> = (0..10_000)
        .map(|index| match index {
            0 => json!({"name": "t0", "prompt": "x"}),
            _ => json!({"name": format!("t{index}"), "prompt": "x", "needs": [format!("t{}", index - 1)]}),
        })
        .collect();
    let mut run = begin(json!({}), json!(tasks));
    run.run(Job::Task(0), failed());
    assert_eq!(run.batch.counts().skipped, 9_999);
    assert!(run.batch.is_over());
}
