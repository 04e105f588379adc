//! Why and how a batch stops before every task had its turn.

use super::*;

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
