use cc_events::Verdict;
use serde_json::{Value, json};

use super::*;
use crate::{
    limits::WAITS_LIMIT,
    plan::Plan,
    retry::{AttemptEnd, Class, Never, Transient},
    rules::Rules,
};

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
fn a_transient_failure_is_tried_again_so_often_and_no_more() {
    let mut run = begin(json!({}), json!([{"prompt": "x", "retries": 1}, {"prompt": "y"}]));
    run.run(Job::Task(0), overloaded());
    let at_ms = run.wake_at_ms();
    assert!((1_000..=5_000).contains(&(at_ms - NOW_MS)));
    run.tell_at(at_ms - 1, Input::Time);
    assert_eq!(run.asked(), [Effect::WakeAt { at_ms }], "too early: asked for again");
    run.tell_at(at_ms, Input::Time);
    assert_eq!(run.asked(), [enqueue(Job::Task(0))]);
    run.tell(Input::Admitted { job: Job::Task(0), task_id: "b".to_owned() });
    let start = Effect::Start { job: Job::Task(0), task_id: "b".to_owned(), attempt: 2 };
    assert_eq!(run.asked(), [start]);
    run.tell(Input::Ended { job: Job::Task(0), task_id: "b".to_owned(), end: overloaded() });
    assert_eq!(run.asked(), [enqueue(Job::Task(1))]);
    let outcome = run.batch.tasks[0].outcome().unwrap();
    assert_eq!((outcome.attempts, outcome.task_id.as_deref()), (2, Some("b")));
}

#[test]
fn a_limit_closes_the_gate_and_counts_as_no_attempt() {
    let mut run = begin(json!({}), json!([{"prompt": "x", "retries": 0}]));
    for waits in 1..=5 {
        run.run(Job::Task(0), limited());
        let asked = run.asked();
        let [Effect::CloseGate { job: Job::Task(0), until_ms }, Effect::WakeAt { at_ms }] =
            asked[..]
        else {
            panic!("{asked:?}");
        };
        assert_eq!(until_ms, at_ms);
        assert!((3_600_000..=3_630_000).contains(&(at_ms - NOW_MS)));
        run.tell_at(at_ms, Input::Time);
        let TaskState::Attempt { attempt, .. } = &run.batch.tasks[0] else { panic!("an attempt") };
        assert_eq!((attempt.number, attempt.waits), (1, waits));
    }
    run.run(Job::Task(0), succeeded());
    assert_eq!(run.verdict(0), Verdict::Succeeded);
}

#[test]
fn a_limit_that_never_ends_becomes_the_verdict() {
    let mut run = begin(json!({}), prompts(1));
    for _ in 0..WAITS_LIMIT {
        run.run(Job::Task(0), limited());
        run.tell_at(u64::MAX, Input::Time);
    }
    run.run(Job::Task(0), limited());
    assert_eq!(run.verdict(0), Verdict::RateLimited);
}

#[test]
fn a_timeout_is_tried_again_only_where_the_task_says_so() {
    let timed_out = end(Verdict::TimedOut, Class::TimedOut);
    for (retry_timed_out, is_over) in [(false, true), (true, false)] {
        let tasks = json!([{"prompt": "x", "retry_timed_out": retry_timed_out}]);
        let mut run = begin(json!({}), tasks);
        run.run(Job::Task(0), timed_out);
        assert_eq!(run.batch.is_over(), is_over);
    }
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
fn halt_soon_lets_running_tasks_end_and_halt_now_ends_them() {
    for (halt, stop) in [("soon,fail=1", Stop::HaltSoon), ("now,fail=1", Stop::HaltNow)] {
        let mut run = begin(json!({"jobs": 2, "halt": halt}), prompts(3));
        let other = run.start(Job::Task(1));
        run.run(Job::Task(0), failed());
        assert_eq!(run.batch.head.phase, Phase::Stopping { stop });
        assert_eq!(run.skip(2), Some(Skip::Stopped { stop }));
        let end_it = Effect::End { job: Job::Task(1), task_id: other.clone() };
        assert_eq!(run.asked().contains(&end_it), stop == Stop::HaltNow);
        run.tell(Input::Ended { job: Job::Task(1), task_id: other, end: succeeded() });
        assert_eq!(run.verdict(1), Verdict::Succeeded);
        assert_eq!(run.asked(), [Effect::Over]);
    }
}

#[test]
fn a_stop_leaves_a_task_between_attempts_with_its_last_verdict() {
    let mut run = begin(json!({"jobs": 2}), prompts(2));
    run.run(Job::Task(0), overloaded());
    run.tell(Input::Cancel);
    assert_eq!(run.verdict(0), Verdict::Failed);
    assert_eq!(run.skip(1), Some(Skip::Stopped { stop: Stop::Canceled }));
    assert!(run.asked().contains(&Effect::Withdraw { job: Job::Task(1) }));
    assert!(run.batch.is_over());
}

#[test]
fn a_cancel_ends_what_runs_and_its_verdict_says_so() {
    let mut run = begin(json!({}), prompts(2));
    let task_id = run.start(Job::Task(0));
    run.tell(Input::Cancel);
    run.tell(Input::Cancel);
    let end_it = Effect::End { job: Job::Task(0), task_id: task_id.clone() };
    assert_eq!(run.asked(), [end_it], "it is told once");
    let canceled = end(Verdict::Canceled, Class::Never { cause: Never::Canceled });
    run.tell(Input::Ended { job: Job::Task(0), task_id, end: canceled });
    let outcome = run.batch.tasks[0].outcome().unwrap();
    assert_eq!((outcome.verdict, outcome.cause), (Verdict::Canceled, Cause::Stopped));
    assert!(run.batch.is_over());
}

#[test]
fn refused_credentials_stop_the_batch_at_once() {
    let auth = end(Verdict::Auth, Class::Never { cause: Never::Auth });
    let mut run = begin(json!({}), prompts(3));
    run.run(Job::Task(0), auth);
    assert_eq!(run.skip(2), Some(Skip::Stopped { stop: Stop::Auth }));
    assert!(run.batch.is_over());
}

#[test]
fn a_reported_refusal_ends_the_task_early_unless_the_cli_may_go_on() {
    for (auth, ends) in [("fail_fast", true), ("let_cli_retry", false)] {
        let mut run = begin(json!({"auth": auth}), prompts(2));
        let task_id = run.start(Job::Task(0));
        for _ in 0..2 {
            run.tell(Input::AuthRefused { job: Job::Task(0), task_id: task_id.clone() });
        }
        assert_eq!(run.asked().len(), usize::from(ends));
        let canceled = end(Verdict::Canceled, Class::Never { cause: Never::Canceled });
        run.tell(Input::Ended { job: Job::Task(0), task_id, end: canceled });
        let expected = if ends { Verdict::Auth } else { Verdict::Canceled };
        assert_eq!(run.verdict(0), expected);
        assert_eq!(run.batch.is_over(), ends);
    }
}

#[test]
fn a_lost_task_stops_the_batch_unless_the_plan_says_otherwise() {
    for policy in ["stop", "continue", "retry"] {
        let mut run = begin(json!({"on_lost": policy}), prompts(2));
        let task_id = run.start(Job::Task(0));
        run.tell(Input::Restarted);
        let question = Effect::AskFate { job: Job::Task(0), task_id: task_id.clone() };
        assert_eq!(run.asked(), [question]);
        run.tell(Input::Fate { job: Job::Task(0), task_id, fate: Fate::Lost });
        let (is_over, is_tried_again) = (policy == "stop", policy == "retry");
        assert_eq!(run.batch.is_over(), is_over, "{policy}");
        if is_tried_again {
            assert!(matches!(run.batch.tasks[0], TaskState::RetryAt { number: 2, .. }));
        } else {
            let outcome = run.batch.tasks[0].outcome().unwrap();
            assert_eq!(outcome.cause, Cause::Attempt { end: Class::Lost });
        }
    }
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
fn no_task_begins_after_the_money_is_spent() {
    let mut run = begin(json!({"max_cost_usd": 2}), prompts(3));
    run.run(Job::Task(0), succeeded());
    run.run(Job::Task(1), succeeded());
    assert_eq!(run.skip(2), Some(Skip::Stopped { stop: Stop::MaxCost }));
    // Whoever spends the last of it stops nobody.
    let mut run = begin(json!({"max_cost_usd": 1}), prompts(1));
    run.run(Job::Task(0), succeeded());
    assert_eq!(run.batch.head.phase, Phase::Over { stop: None, after_batch_failed: false });
}

#[test]
fn what_runs_when_the_time_is_over_is_ended() {
    let mut run = begin(json!({"max_time_s": 60}), prompts(2));
    assert_eq!(run.wake_at_ms(), NOW_MS + 60_000);
    let task_id = run.start(Job::Task(0));
    run.tell_at(NOW_MS + 60_000, Input::Time);
    assert_eq!(run.asked(), [Effect::End { job: Job::Task(0), task_id }]);
    assert_eq!(run.skip(1), Some(Skip::Stopped { stop: Stop::MaxTime }));
}

#[test]
fn a_clock_that_jumps_moves_the_time_of_the_batch_and_its_retries_along() {
    const HOURS: i64 = 10 * 3_600_000;
    for by_ms in [HOURS, -HOURS] {
        let now_ms = NOW_MS.saturating_add_signed(by_ms);
        let options = json!({"jobs": 2, "max_time_s": 28_800, "defaults": {"retries": 2}});
        let mut run = begin(options, prompts(2));
        run.run(Job::Task(0), overloaded());
        let TaskState::RetryAt { at_ms, .. } = run.batch.tasks[0] else { panic!("it waits") };
        run.start(Job::Task(1));
        run.asked();
        run.tell_at(now_ms, Input::ClockMoved { by_ms });
        let moved_ms = at_ms.saturating_add_signed(by_ms);
        assert_eq!(run.asked(), [Effect::WakeAt { at_ms: moved_ms }], "{by_ms}");
        run.tell_at(moved_ms - 1, Input::Time);
        assert!(matches!(run.batch.tasks[0], TaskState::RetryAt { .. }));
        run.tell_at(moved_ms, Input::Time);
        assert!(matches!(run.batch.tasks[0], TaskState::Attempt { .. }));
        run.tell_at(now_ms + 28_799_999, Input::Time);
        assert_eq!(run.batch.head.phase, Phase::Going);
        run.tell_at(now_ms + 28_800_000, Input::Time);
        assert_eq!(run.batch.head.phase, Phase::Stopping { stop: Stop::MaxTime });
    }
}

#[test]
fn a_limit_that_ends_at_a_time_ends_at_that_time_also_when_the_clock_jumps() {
    let mut run = begin(json!({}), prompts(1));
    run.run(Job::Task(0), limited());
    let TaskState::RetryAt { at_ms, .. } = run.batch.tasks[0] else { panic!("it waits") };
    run.tell_at(NOW_MS - 7_200_000, Input::ClockMoved { by_ms: -7_200_000 });
    assert!(matches!(run.batch.tasks[0], TaskState::RetryAt { at_ms: now, .. } if now == at_ms));
    run.tell_at(NOW_MS + 36_000_000, Input::ClockMoved { by_ms: 43_200_000 });
    assert!(matches!(run.batch.tasks[0], TaskState::Attempt { .. }), "it is over by the new time");
    // One that nobody knows the end of is waited for by its length.
    let unknown = end(Verdict::RateLimited, Class::Limit { ends_at_ms: None });
    let mut run = begin(json!({}), prompts(1));
    run.run(Job::Task(0), unknown);
    let TaskState::RetryAt { at_ms, .. } = run.batch.tasks[0] else { panic!("it waits") };
    run.tell_at(NOW_MS + 36_000_000, Input::ClockMoved { by_ms: 36_000_000 });
    let moved_ms = at_ms + 36_000_000;
    assert!(matches!(run.batch.tasks[0], TaskState::RetryAt { at_ms, .. } if at_ms == moved_ms));
}

#[test]
fn the_time_is_over_also_for_a_batch_that_lets_its_tasks_end() {
    let mut run = begin(json!({"jobs": 2, "max_time_s": 60, "halt": "soon,fail=1"}), prompts(3));
    let task_id = run.start(Job::Task(1));
    run.run(Job::Task(0), failed());
    run.asked();
    run.tell_at(NOW_MS + 60_000, Input::Time);
    assert_eq!(run.asked(), [Effect::End { job: Job::Task(1), task_id }]);
    assert_eq!(run.batch.head.phase, Phase::Stopping { stop: Stop::MaxTime });
}

#[test]
fn a_verdict_that_a_stop_brings_about_can_make_the_stop_a_harder_one() {
    let mut run = begin(json!({"jobs": 3, "max_cost_usd": 2, "halt": "now,fail=1"}), prompts(3));
    let task_id = run.start(Job::Task(2));
    run.run(Job::Task(0), overloaded());
    run.run(Job::Task(1), succeeded());
    assert_eq!(run.verdict(0), Verdict::Failed, "no other attempt for want of money");
    assert_eq!(run.batch.head.phase, Phase::Stopping { stop: Stop::HaltNow });
    assert!(run.asked().contains(&Effect::End { job: Job::Task(2), task_id }));
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

fn unavailable() -> AttemptEnd {
    end(Verdict::SpawnFailed, Class::Unavailable { want: crate::retry::Want::Means })
}

#[test]
fn what_is_wanting_is_waited_for_without_an_attempt_and_not_for_ever() {
    let mut batch = begin(json!({}), json!([{"prompt": "x", "retries": 0}, {"prompt": "y"}]));
    let mut now_ms = NOW_MS;
    let mut starts = 0;
    while batch.batch.head.phase == Phase::Going {
        batch.ids += 1;
        let (job, task_id) = (Job::Task(0), batch.ids.to_string());
        batch.tell_at(now_ms, Input::Admitted { job, task_id: task_id.clone() });
        batch.tell_at(now_ms, Input::Ended { job, task_id, end: unavailable() });
        starts += 1;
        if let TaskState::RetryAt { at_ms, number, waits, .. } = &batch.batch.tasks[0] {
            assert_eq!((*number, *waits), (1, 0));
            assert!(*at_ms > now_ms && *at_ms <= now_ms + 90_000);
            now_ms = *at_ms;
            batch.tell_at(now_ms, Input::Time);
        }
    }
    assert!(starts > 10, "{starts}");
    let waited_ms = now_ms - NOW_MS;
    assert!((1_200_000..1_300_000).contains(&waited_ms), "{waited_ms}");
    let stop = Some(Stop::Unavailable);
    assert_eq!(batch.batch.head.phase, Phase::Over { stop, after_batch_failed: false });
    assert_eq!(
        batch.batch.tasks[1],
        TaskState::Skipped { skip: Skip::Stopped { stop: Stop::Unavailable } }
    );
}

#[test]
fn a_limit_that_is_lifted_is_waited_for_no_longer_and_nothing_else_is_hurried() {
    let mut batch = begin(json!({"jobs": 2, "claude_jobs": 2}), prompts(2));
    for (task, end) in [(0, limited()), (1, overloaded())] {
        let job = Job::Task(task);
        let task_id = batch.start(job);
        batch.tell(Input::Ended { job, task_id, end });
    }
    batch.asked();
    batch.tell(Input::LimitLifted { tasks: vec![0, 1, 7] });
    let enqueued = |effect: &Effect| matches!(effect, Effect::Enqueue { .. });
    let asked: Vec<Effect> = batch.asked().into_iter().filter(enqueued).collect();
    assert_eq!(asked, [Effect::Enqueue { job: Job::Task(0) }]);
    assert!(matches!(batch.batch.tasks[1], TaskState::RetryAt { .. }));
}
