//! Attempts that follow others.

use super::*;

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
