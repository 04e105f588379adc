use cc_events::Verdict;

use super::*;
use crate::{
    Change, TaskAccepted,
    fixture::{Fixture, completed, id, task},
};

fn batch(number: usize, key: Option<&str>) -> BatchRow {
    BatchRow {
        id: id(number),
        idempotency_key: key.map(str::to_owned),
        plan_hash: [9; 32],
        plan: "{}".to_owned(),
        head: "begun".to_owned(),
        submitted_ms: number as u64,
        over_ms: None,
        token: None,
    }
}

fn submitted(number: usize, key: Option<&str>) -> Change {
    Change::BatchSubmitted(Box::new(batch(number, key)))
}

fn stepped(number: usize, head: &str, over_ms: Option<u64>, places: &[u64]) -> Change {
    let task = |place: &u64| BatchTaskRow {
        place: *place,
        state: format!("{head} {place}"),
        record: (head == "a").then(|| "{}".to_owned()),
        result: (head == "a").then(|| format!("result {place}")),
    };
    let tasks = places.iter().map(task).collect();
    Change::BatchStepped(Box::new(BatchStep {
        id: id(number),
        head: head.to_owned(),
        over_ms,
        tasks,
    }))
}

#[test]
fn a_key_belongs_to_the_first_batch_that_was_submitted_under_it() {
    let changes =
        [submitted(1, Some("k")), submitted(2, Some("k")), submitted(3, None), submitted(4, None)];
    let fixture = Fixture::with(&changes);
    assert_eq!(fixture.db.batch_of_key(None, "k").unwrap(), Some(batch(1, Some("k"))));
    assert_eq!(fixture.db.batch(&id(2)).unwrap(), None);
    assert_eq!(fixture.db.batches(BatchFilter::All, None, 9).unwrap().len(), 3);
}

#[test]
fn a_token_has_its_own_batches_and_keys() {
    let of = |number: usize, token: Option<&str>| {
        let token = token.map(str::to_owned);
        Change::BatchSubmitted(Box::new(BatchRow { token, ..batch(number, Some("k")) }))
    };
    let fixture =
        Fixture::with(&[of(1, Some("ci")), of(2, Some("desk")), of(3, None), of(4, Some("ci"))]);
    for (token, number) in [(Some("ci"), 1), (Some("desk"), 2), (None, 3)] {
        let row = fixture.db.batch_of_key(token, "k").unwrap().unwrap();
        assert_eq!((row.id, row.token.as_deref()), (id(number), token));
    }
    let listed = fixture.db.batches_of(Some("desk"), BatchFilter::Open, None, 9).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(fixture.db.batches(BatchFilter::All, None, 9).unwrap().len(), 3);
}

#[test]
fn a_step_replaces_the_head_and_the_tasks_that_it_names_and_none_follows_the_last() {
    let mut fixture = Fixture::with(&[submitted(1, None), stepped(1, "a", None, &[0, 2])]);
    let last =
        [stepped(1, "b", Some(7), &[2]), stepped(1, "c", None, &[0]), stepped(5, "d", None, &[0])];
    fixture.db.transaction(&last).unwrap();
    let row = fixture.db.batch(&id(1)).unwrap().unwrap();
    assert_eq!((row.head.as_str(), row.over_ms), ("b", Some(7)));
    let tasks = fixture.db.batch_tasks(&id(1), 0, 9).unwrap();
    let states: Vec<&str> = tasks.iter().map(|task| task.state.as_str()).collect();
    assert_eq!(states, ["a 0", "b 2"]);
    // What a step does not bring is as it was.
    assert!(tasks.iter().all(|task| task.record.as_deref() == Some("{}")));
    let results = fixture.db.batch_results(&id(1), &[0, 1, 2]).unwrap();
    assert_eq!(results, [(0, "result 0".to_owned()), (2, "result 2".to_owned())]);
    assert_eq!(fixture.db.batch_tasks(&id(1), 1, 2).unwrap(), []);
}

#[test]
fn batches_are_listed_by_the_page_and_removed_with_their_tasks() {
    let mut changes: Vec<Change> = (1..=4).map(|number| submitted(number, None)).collect();
    changes.push(stepped(2, "over", Some(20), &[0]));
    changes.push(stepped(3, "over", Some(30), &[0]));
    let mut fixture = Fixture::with(&changes);
    let ids = |db: &StateDb, filter, before: Option<String>, limit| -> Vec<String> {
        let rows = db.batches(filter, before.as_deref(), limit).unwrap();
        rows.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(ids(&fixture.db, BatchFilter::All, None, 2), [id(4), id(3)]);
    assert_eq!(ids(&fixture.db, BatchFilter::All, Some(id(3)), 2), [id(2), id(1)]);
    assert_eq!(ids(&fixture.db, BatchFilter::Open, None, 9), [id(4), id(1)]);
    fixture.db.transaction(&[Change::BatchesPruned { before_ms: 30 }]).unwrap();
    assert_eq!(ids(&fixture.db, BatchFilter::Over, None, 9), [id(3)]);
    assert_eq!(fixture.db.batch_tasks(&id(2), 0, 9).unwrap(), []);
}

#[test]
fn the_history_holds_the_newest_successful_runs_of_a_label_or_a_shape() {
    let run = |number: usize, verdict, duration_ms| {
        let accepted = TaskAccepted { shape: Some("s".to_owned()), ..task(&id(number), None) };
        let completed = cc_events::Completed { verdict, duration_ms, ..completed() };
        let ended = Change::TaskEnded {
            id: id(number),
            at_ms: 1,
            completed: Box::new(completed),
            last_seq: 1,
            log_bytes: 1,
            result: None,
        };
        [Change::TaskAccepted(Box::new(accepted)), ended]
    };
    let runs = [(Verdict::Succeeded, 10), (Verdict::Failed, 20), (Verdict::Succeeded, 30)];
    let changes: Vec<Change> = runs
        .into_iter()
        .enumerate()
        .flat_map(|(number, (verdict, duration_ms))| run(number, verdict, duration_ms))
        .collect();
    let db = Fixture::with(&changes).db;
    assert_eq!(db.durations_of_shape("s", 9).unwrap(), [30, 10]);
    assert_eq!(db.durations_of_shape("t", 9).unwrap(), [0_u64; 0]);
    let label = task("x", None).label.unwrap();
    assert_eq!(db.durations_of_label(&label, 1).unwrap(), [30]);
}
