use super::*;
use crate::storage::state_dir;

const DAY_MS: u64 = 86_400_000;

fn rules(days: u64, tasks: usize, bytes: u64) -> RetentionLimits {
    RetentionLimits {
        age: Duration::from_millis(days * DAY_MS),
        tasks,
        bytes,
        grace: Duration::from_millis(1_000),
    }
}

/// A task's directory with a log, known to the retention as ended.
fn ended(retention: &Retention, ended_ms: u64, log_bytes: u64, feed: Weak<Feed>) -> String {
    let task_id = uuid::Uuid::now_v7().to_string();
    let directory = retention.tasks_dir.join(&task_id);
    fs::create_dir(&directory).unwrap();
    fs::write(state_dir::log_path(&directory), vec![0; log_bytes as usize]).unwrap();
    retention.add(EndedTask { task_id: task_id.clone(), ended_ms, log_bytes, feed });
    task_id
}

fn five(rules: RetentionLimits) -> (tempfile::TempDir, Retention, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention::new(directory.path(), rules, 0);
    let ids = (1..=5).map(|day| ended(&retention, day * DAY_MS, 10, Weak::new())).collect();
    (directory, retention, ids)
}

fn remove_too_much(retention: &Retention, now_ms: u64) -> Vec<String> {
    let all = Slice { tasks: usize::MAX, time: Duration::MAX };
    let (removed, is_done) = retention.remove_some(now_ms, all);
    assert!(is_done);
    removed
}

fn left(retention: &Retention, ids: &[String]) -> Vec<bool> {
    ids.iter().map(|id| retention.tasks_dir.join(id).exists()).collect()
}

#[test]
fn the_oldest_go_first_by_number_by_bytes_and_by_age() {
    for (rules, expected) in [
        (rules(100, 4, 1_000), [false, true, true, true, true]),
        (rules(100, 4, 25), [false, false, false, true, true]),
        (rules(3, 100, 1_000), [false, false, true, true, true]),
        (rules(100, 100, 1_000), [true; 5]),
        (rules(0, 0, 0), [false; 5]),
    ] {
        let (_directory, retention, ids) = five(rules);
        let now_ms = 5 * DAY_MS + 1_000;
        assert_eq!(retention.has_too_much(now_ms), expected.contains(&false), "{rules:?}");
        let removed = remove_too_much(&retention, now_ms);
        assert!(!retention.has_too_much(now_ms), "{rules:?}");
        assert_eq!(left(&retention, &ids), expected, "{rules:?}");
        assert_eq!(removed.len(), expected.iter().filter(|is_left| !**is_left).count());
    }
}

#[test]
fn a_task_that_was_late_to_be_known_has_its_place_by_its_end() {
    let (_directory, retention, mut ids) = five(rules(100, 5, 1_000));
    ids.push(ended(&retention, DAY_MS / 2, 10, Weak::new()));
    assert_eq!(remove_too_much(&retention, 6 * DAY_MS), ids[5..]);
}

#[test]
fn nothing_is_removed_while_its_client_may_come_back_for_it() {
    let (_directory, retention, ids) = five(rules(0, 0, 0));
    assert_eq!(remove_too_much(&retention, 5 * DAY_MS + 999), ids[..4]);
    assert_eq!(remove_too_much(&retention, 5 * DAY_MS + 1_000), ids[4..]);
}

#[test]
fn after_a_restart_clients_have_the_whole_time_again() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention::new(directory.path(), rules(0, 0, 0), 5 * DAY_MS);
    let old = ended(&retention, DAY_MS, 10, Weak::new());
    assert!(remove_too_much(&retention, 5 * DAY_MS + 999).is_empty());
    assert_eq!(remove_too_much(&retention, 5 * DAY_MS + 1_000), [old]);
}

#[test]
fn a_log_that_is_still_read_stays_until_it_is_not_and_the_next_goes_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention::new(directory.path(), rules(100, 1, 1_000), 0);
    let feed = Feed::new(PathBuf::new(), 0);
    let followed = ended(&retention, 1, 10, Arc::downgrade(&feed));
    let next = ended(&retention, 2, 10, Weak::new());
    assert_eq!(remove_too_much(&retention, DAY_MS), [next]);
    ended(&retention, 3, 10, Weak::new());
    drop(feed);
    assert_eq!(remove_too_much(&retention, DAY_MS), [followed]);
}

#[test]
fn without_a_setting_the_logs_take_a_tenth_of_a_small_file_system_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let keep = |bytes| Keep { age: Duration::ZERO, tasks: 1, bytes };
    let rules = RetentionLimits::new(keep(None), Duration::ZERO, directory.path());
    assert!(rules.bytes <= file_system_bytes(directory.path()) / 10);
    assert!(rules.bytes <= 10 * 1024 * 1024 * 1024);
    assert_eq!(RetentionLimits::new(keep(Some(7)), Duration::ZERO, directory.path()).bytes, 7);
}

#[test]
fn after_a_start_with_a_clock_far_ahead_of_all_ends_nothing_is_old_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let now_ms = clock::now_ms();
    // As if the clock had jumped by a year: every end is more than a month ago by it.
    let (newest_ms, oldest_ms) = (now_ms - 365 * DAY_MS, now_ms - 370 * DAY_MS);
    let retention = Retention::new(directory.path(), rules(30, 100, 1_000), now_ms);
    let ids = [oldest_ms, newest_ms].map(|ended_ms| ended(&retention, ended_ms, 10, Weak::new()));
    assert!(retention.now_ms() < newest_ms + DAY_MS);
    assert!(remove_too_much(&retention, retention.now_ms()).is_empty());
    assert_eq!(left(&retention, &ids), [true, true]);
    // What is too many goes all the same, once its client cannot come back for it any more.
    let retention = Retention::new(directory.path(), rules(30, 0, 1_000), now_ms);
    let one = ended(&retention, newest_ms, 10, Weak::new());
    assert_eq!(remove_too_much(&retention, retention.now_ms() + 1_000), [one]);
}

#[test]
fn a_slice_ends_after_its_number_or_its_time_and_always_removes_something() {
    let (_directory, retention, ids) = five(rules(0, 0, 0));
    let now_ms = 6 * DAY_MS;
    let number = Slice { tasks: 2, time: Duration::MAX };
    assert_eq!(retention.remove_some(now_ms, number), (ids[..2].to_vec(), false));
    let time = Slice { tasks: 5, time: Duration::ZERO };
    assert_eq!(retention.remove_some(now_ms, time), (ids[2..3].to_vec(), false));
    assert_eq!(retention.remove_some(now_ms, number), (ids[3..].to_vec(), false));
    assert_eq!(retention.remove_some(now_ms, number), (Vec::new(), true));
}
