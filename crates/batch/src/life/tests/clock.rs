//! A clock that jumps.

use super::*;

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
