use std::collections::HashSet;

use super::*;
use crate::{
    Change, TaskAccepted,
    fixture::{Fixture, accepted, begun, ended, id, task},
};

fn ids(tasks: &[TaskRow]) -> Vec<&str> {
    tasks.iter().map(|task| task.accepted.id.as_str()).collect()
}

fn forgotten(number: usize) -> Change {
    Change::TaskForgotten { id: id(number) }
}

#[test]
fn paging_through_five_thousand_tasks_gives_every_one_once_newest_first() {
    const TASKS: usize = 5_000;
    let mut fixture = Fixture::new();
    for chunk in (0..TASKS).collect::<Vec<_>>().chunks(500) {
        let changes: Vec<_> = chunk.iter().map(|number| accepted(&id(*number), None)).collect();
        fixture.db.transaction(&changes).unwrap();
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = fixture.db.tasks(Filter::All, seen.last().map(String::as_str), 333).unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|task| task.accepted.id));
    }
    assert_eq!(seen, (0..TASKS).rev().map(id).collect::<Vec<_>>());
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), TASKS);
}

#[test]
fn tasks_stand_in_the_order_of_their_acceptance_also_when_the_clock_went_back() {
    let fixture = Fixture::with(&[
        begun("s"),
        accepted(&id(5), Some("s")),
        accepted(&id(2), Some("s")),
        accepted(&id(9), Some("s")),
    ]);
    let db = &fixture.db;
    assert_eq!(ids(&db.tasks(Filter::All, None, 9).unwrap()), [id(9), id(2), id(5)]);
    assert_eq!(ids(&db.tasks(Filter::All, Some(&id(2)), 9).unwrap()), [id(5)]);
    assert_eq!(ids(&db.session_tasks("s", Some(&id(5)), 9).unwrap()), [id(5), id(2), id(9)]);
    assert_eq!(ids(&db.session_tasks("s", Some(&id(2)), 9).unwrap()), [id(2), id(9)]);
}

#[test]
fn a_place_whose_task_was_forgotten_is_still_a_place() {
    let mut fixture = Fixture::with(&[begun("s")]);
    for number in 0..5 {
        let changes = [accepted(&id(number), Some("s")), ended(&id(number), 1, 1)];
        fixture.db.transaction(&changes).unwrap();
    }
    fixture.db.transaction(&[forgotten(2), forgotten(4)]).unwrap();
    let db = &fixture.db;
    assert_eq!(ids(&db.tasks(Filter::All, Some(&id(2)), 9).unwrap()), [id(1), id(0)]);
    assert_eq!(ids(&db.tasks(Filter::All, Some(&id(4)), 9).unwrap()), [id(3), id(1), id(0)]);
    assert_eq!(ids(&db.session_tasks("s", Some(&id(2)), 9).unwrap()), [id(3)]);
    assert_eq!(ids(&db.session_tasks("s", Some(&id(4)), 9).unwrap()), Vec::<&str>::new());
}

#[test]
fn a_filter_shows_the_running_the_ended_or_all() {
    let fixture = Fixture::with(&[
        accepted(&id(0), None),
        accepted(&id(1), None),
        accepted(&id(2), None),
        ended(&id(1), 1, 1),
    ]);
    let shown = |filter| {
        let tasks = fixture.db.tasks(filter, None, 9).unwrap();
        ids(&tasks).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(Filter::All), [id(2), id(1), id(0)]);
    assert_eq!(shown(Filter::Unfinished), [id(2), id(0)]);
    assert_eq!(shown(Filter::Ended), [id(1)]);
    assert_eq!(ids(&fixture.db.unfinished_tasks().unwrap()), [id(0), id(2)]);
}

#[test]
fn a_token_has_its_own_tasks_and_what_they_cost_stays_when_they_are_forgotten() {
    let of = |number: usize, token: Option<&str>| {
        let token = token.map(str::to_owned);
        Change::TaskAccepted(Box::new(TaskAccepted { token, ..task(&id(number), None) }))
    };
    let mut fixture = Fixture::with(&[
        of(0, Some("ci")),
        of(1, Some("desk")),
        of(2, None),
        of(3, Some("ci")),
        ended(&id(0), 5 * DAY_MS, 1),
        ended(&id(1), 6 * DAY_MS, 1),
        ended(&id(2), 6 * DAY_MS, 1),
    ]);
    let shown = |db: &StateDb, token, filter| {
        let tasks = db.tasks_of(token, filter, None, 9).unwrap();
        ids(&tasks).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(&fixture.db, Some("ci"), Filter::All), [id(3), id(0)]);
    assert_eq!(shown(&fixture.db, Some("ci"), Filter::Ended), [id(0)]);
    assert_eq!(shown(&fixture.db, Some("other"), Filter::All), Vec::<String>::new());
    assert_eq!(shown(&fixture.db, None, Filter::All).len(), 4);
    let later = ended(&id(3), 7 * DAY_MS, 1);
    // A second report of an end costs nothing.
    fixture.db.transaction(&[later.clone(), later, forgotten(0), forgotten(3)]).unwrap();
    for (token, first_day, usd) in
        [("ci", 0, 0.5), ("ci", 6, 0.25), ("ci", 8, 0.0), ("desk", 0, 0.25), ("other", 0, 0.0)]
    {
        assert_eq!(fixture.db.spent(token, first_day).unwrap(), usd, "{token} {first_day}");
    }
}

#[test]
fn a_session_has_its_own_tasks_and_not_those_that_were_detached() {
    let fixture = Fixture::with(&[
        begun("s"),
        begun("other"),
        accepted(&id(0), Some("s")),
        accepted(&id(1), Some("other")),
        accepted(&id(2), Some("s")),
        accepted(&id(3), None),
        accepted(&id(4), Some("s")),
        Change::TaskDetached { id: id(2) },
    ]);
    let db = &fixture.db;
    assert_eq!(ids(&db.session_tasks("s", None, 9).unwrap()), [id(0), id(4)]);
    assert_eq!(ids(&db.session_tasks("s", None, 1).unwrap()), [id(0)]);
    // A reader that followed the detached task continues with what came after it.
    assert_eq!(ids(&db.session_tasks("s", Some(&id(2)), 9).unwrap()), [id(4)]);
}

#[test]
fn retention_sees_what_there_is_and_what_ended_first() {
    let mut fixture = Fixture::with(&[
        accepted(&id(0), None),
        accepted(&id(1), None),
        accepted(&id(2), None),
        accepted(&id(3), None),
        ended(&id(2), 10, 100),
        ended(&id(0), 20, 20),
        ended(&id(3), 20, 3),
    ]);
    let candidates = fixture.db.retention_candidates(2).unwrap();
    let expected = RetentionCandidates {
        ended_tasks: 3,
        log_bytes: 123,
        oldest: vec![
            EndedTask { id: id(2), ended_ms: 10, log_bytes: 100 },
            EndedTask { id: id(0), ended_ms: 20, log_bytes: 20 },
        ],
    };
    assert_eq!(candidates, expected);
    fixture.db.transaction(&[forgotten(2), forgotten(0), forgotten(3)]).unwrap();
    assert_eq!(fixture.db.retention_candidates(2).unwrap(), RetentionCandidates::default());
}

#[test]
fn no_question_sorts_or_reads_what_it_does_not_answer() {
    let fixture = Fixture::new();
    let plan = |sql: &str| -> String {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = fixture.db.connection.prepare(&sql).unwrap();
        statement
            .raw_query()
            .mapped(|row| row.get(3))
            .collect::<Result<Vec<String>>>()
            .unwrap()
            .join("; ")
    };
    for (sql, way) in [
        (format!("{TASK} {NAMED}"), "SEARCH task USING INDEX sqlite_autoindex_task_1 (id=?)"),
        (format!("{TASK} {UNFINISHED}"), "SCAN task USING INDEX task_unfinished"),
        (format!("{TASK} {OF_SESSION}"), "INDEX task_of_session (session_id=? AND number>?)"),
        (format!("{TASK} {}", Filter::All.newest_first(false)), "PRIMARY KEY (rowid<?)"),
        (
            format!("{TASK} {}", Filter::All.newest_first(true)),
            "INDEX task_of_token (token=? AND number<?)",
        ),
        (
            format!("{TASK} {}", Filter::Unfinished.newest_first(false)),
            "INDEX task_unfinished (number<?)",
        ),
        (format!("{TASK} {}", Filter::Ended.newest_first(false)), "PRIMARY KEY (rowid<?)"),
        (PLACE.to_owned(), "INDEX sqlite_autoindex_task_1 (id>?)"),
        (ENDED_SUMS.to_owned(), "USING COVERING INDEX task_ended"),
        (ENDED_FIRST.to_owned(), "USING INDEX task_ended"),
    ] {
        let plan = plan(&sql);
        assert!(plan.contains(way), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
