use std::path::PathBuf;

use cc_events::{Containment, EndReason, Verdict};

use super::*;
use crate::{
    StateError, Word,
    fixture::{Fixture, accepted, begun, closed, completed, ended, id, result, started, task},
};

mod model;

#[test]
fn a_whole_life_is_read_back_as_it_was_written() {
    let mut fixture = Fixture::with(&[begun("s"), accepted("a", Some("s"))]);
    let db = &mut fixture.db;
    let row = db.task("a").unwrap().unwrap();
    assert_eq!(row.accepted, task("a", Some("s")));
    assert_eq!((&row.started, &row.ended, row.completed()), (&None, &None, None));

    db.transaction(&[started("a", 1_002)]).unwrap();
    let start = db.task("a").unwrap().unwrap().started.unwrap();
    assert_eq!((start.at_ms, start.pid, start.worker_pid), (1_002, 12, 11));
    assert_eq!(start.containment, Word::Known(Containment::Cgroup));

    db.transaction(&[ended("a", 2_003, 4_096)]).unwrap();
    let row = db.task("a").unwrap().unwrap();
    assert_eq!(row.completed(), Some(completed()));
    let end = row.ended.unwrap();
    assert_eq!((end.at_ms, end.last_seq, end.log_bytes), (2_003, 20, 4_096));
    assert_eq!(end.result, Some(result()));
}

#[test]
fn what_is_not_known_is_read_back_as_not_known() {
    let bare = TaskAccepted {
        id: "a".to_owned(),
        session_id: None,
        label: None,
        command: String::new(),
        accepted_ms: 0,
        is_claude: false,
        is_prompt: false,
        leaf: None,
        deadlines: None,
        batch_id: None,
        shape: None,
        token: None,
    };
    let end = Change::TaskEnded {
        id: "a".to_owned(),
        at_ms: 1,
        completed: Box::new(Completed { pid: 0, signal: None, error: None, ..completed() }),
        last_seq: 1,
        log_bytes: 0,
        result: None,
    };
    let fixture = Fixture::with(&[Change::TaskAccepted(Box::new(bare.clone())), end]);
    let row = fixture.db.task("a").unwrap().unwrap();
    assert_eq!(row.accepted, bare);
    assert_eq!(row.started, None);
    assert_eq!(row.completed().unwrap().pid, 0);
    let end = row.ended.unwrap();
    assert_eq!((end.signal, end.error, end.result), (None, None, None));
}

#[test]
fn a_path_that_is_no_text_and_a_number_that_is_none_do_no_harm() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};
    let leaf = PathBuf::from(OsString::from_vec(b"/cgroup/\xff".to_vec()));
    let odd = TaskAccepted { leaf: Some(leaf.clone()), ..task("a", None) };
    let huge = Box::new(Completed { cpu_ms: u64::MAX, ..completed() });
    let result = ResultSummary { cost_usd: Some(f64::NAN), turns: Some(u64::MAX), ..result() };
    let fixture = Fixture::with(&[
        Change::TaskAccepted(Box::new(odd)),
        Change::TaskEnded {
            id: "a".to_owned(),
            at_ms: 1,
            completed: huge,
            last_seq: 1,
            log_bytes: u64::MAX,
            result: Some(result),
        },
        accepted("b", None),
        ended("b", 2, 1),
    ]);
    let row = fixture.db.task("a").unwrap().unwrap();
    assert_eq!(row.accepted.leaf, Some(leaf));
    let end = row.ended.unwrap();
    assert_eq!(end.cpu_ms, i64::MAX.unsigned_abs());
    assert_eq!(end.result.unwrap().cost_usd, None);
    assert_eq!(fixture.db.retention_candidates(9).unwrap().ended_tasks, 2);
}

#[test]
fn of_a_change_that_is_repeated_the_first_counts() {
    let mut fixture = Fixture::with(&[
        begun("s"),
        accepted("a", Some("s")),
        started("a", 2),
        ended("a", 3, 4),
        Change::SessionDisconnected { id: "s".to_owned(), at_ms: 5 },
    ]);
    let db = &mut fixture.db;
    let before = (db.task("a").unwrap(), db.session("s").unwrap());
    let other = TaskAccepted { command: "other".to_owned(), ..task("a", None) };
    db.transaction(&[
        Change::SessionBegun { id: "s".to_owned(), token_hash: [8; 32], at_ms: 9, token: None },
        Change::TaskAccepted(Box::new(other)),
        started("a", 9),
        ended("a", 9, 9),
        Change::SessionDisconnected { id: "s".to_owned(), at_ms: 9 },
    ])
    .unwrap();
    assert_eq!((db.task("a").unwrap(), db.session("s").unwrap()), before);

    db.transaction(&[closed("s", 10), closed("s", 11)]).unwrap();
    assert_eq!(db.session("s").unwrap().unwrap().closed_ms, Some(10));
}

#[test]
fn a_change_of_what_is_not_there_is_nothing() {
    let mut fixture = Fixture::new();
    let (session, task) = (|| "s".to_owned(), || "a".to_owned());
    fixture
        .db
        .transaction(&[
            Change::SessionDisconnected { id: session(), at_ms: 1 },
            Change::SessionConnected { id: session() },
            Change::SessionClosed { id: session(), at_ms: 1 },
            Change::TombstonesPruned { before_ms: u64::MAX },
            started("a", 1),
            Change::TaskDetached { id: task() },
            ended("a", 1, 1),
            Change::TaskForgotten { id: task() },
        ])
        .unwrap();
    assert_eq!(fixture.db.session("s").unwrap(), None);
    assert_eq!(fixture.db.task("a").unwrap(), None);
}

#[test]
fn a_session_can_be_resumed_until_it_is_closed() {
    let mut fixture = Fixture::with(&[begun("s")]);
    let db = &mut fixture.db;
    db.transaction(&[Change::SessionDisconnected { id: "s".to_owned(), at_ms: 5 }]).unwrap();
    assert_eq!(db.sessions().unwrap()[0].disconnected_ms, Some(5));
    db.transaction(&[Change::SessionConnected { id: "s".to_owned() }]).unwrap();
    assert_eq!(db.sessions().unwrap()[0].disconnected_ms, None);
    assert_eq!(db.sessions().unwrap()[0].token_hash, [7; 32]);
    db.transaction(&[closed("s", 6), begun("s")]).unwrap();
    assert_eq!(db.sessions().unwrap(), []);
    let tombstone = db.session("s").unwrap().unwrap();
    assert_eq!((tombstone.closed_ms, tombstone.token_hash), (Some(6), [7; 32]));
}

#[test]
fn tombstones_go_when_they_are_old_and_have_no_tasks() {
    let mut fixture = Fixture::with(&[
        begun("open"),
        begun("old"),
        begun("new"),
        begun("with a task"),
        accepted("a", Some("with a task")),
        closed("old", 10),
        closed("new", 20),
        closed("with a task", 10),
        ended("a", 1, 1),
    ]);
    let db = &mut fixture.db;
    let is_there = |db: &crate::StateDb| {
        ["open", "old", "new", "with a task"].map(|id| db.session(id).unwrap().is_some())
    };
    db.transaction(&[Change::TombstonesPruned { before_ms: 20 }]).unwrap();
    assert_eq!(is_there(db), [true, false, true, true]);
    db.transaction(&[
        Change::TaskForgotten { id: "a".to_owned() },
        Change::TombstonesPruned { before_ms: 20 },
    ])
    .unwrap();
    assert_eq!(is_there(db), [true, false, true, false]);
}

#[test]
fn only_a_task_that_has_ended_is_forgotten_and_its_result_with_it() {
    let mut fixture = Fixture::with(&[accepted("a", None)]);
    let db = &mut fixture.db;
    let forgotten = Change::TaskForgotten { id: "a".to_owned() };
    db.transaction(std::slice::from_ref(&forgotten)).unwrap();
    assert!(db.task("a").unwrap().is_some());
    db.transaction(&[ended("a", 1, 1), forgotten]).unwrap();
    assert_eq!(db.task("a").unwrap(), None);
    let results: i64 =
        db.connection.query_row("SELECT count(*) FROM result", (), |row| row.get(0)).unwrap();
    assert_eq!(results, 0);
}

#[test]
fn a_transaction_is_made_whole_or_not_at_all() {
    let mut fixture = Fixture::new();
    let error = fixture
        .db
        .transaction(&[begun("s"), accepted("a", Some("s")), accepted("b", Some("never begun"))])
        .unwrap_err();
    assert!(matches!(error, StateError::Sqlite { .. }), "{error}");
    assert_eq!(fixture.db.session("s").unwrap(), None);
    assert_eq!(fixture.db.task("a").unwrap(), None);
    fixture.db.transaction(&[begun("s"), accepted("a", Some("s"))]).unwrap();
    assert!(fixture.db.task("a").unwrap().is_some());
}

#[test]
fn a_full_disk_is_told_from_other_errors_and_loses_nothing_that_was_there() {
    let mut fixture = Fixture::with(&[accepted("before", None)]);
    let pages: i64 =
        fixture.db.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    fixture
        .db
        .connection
        .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        .unwrap();
    let tasks: Vec<_> = (0..1_000).map(|number| accepted(&id(number), None)).collect();
    let error = fixture.db.transaction(&tasks).unwrap_err();
    assert!(matches!(error, StateError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("disk is full"), "{error}");

    fixture
        .db
        .connection
        .pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))
        .unwrap();
    assert_eq!(fixture.db.unfinished_tasks().unwrap().len(), 1);
    fixture.db.transaction(&tasks).unwrap();
    assert_eq!(fixture.db.unfinished_tasks().unwrap().len(), 1_001);
}

#[test]
fn a_lock_of_another_program_is_told_from_other_errors() {
    let mut fixture = Fixture::new();
    fixture.db.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(fixture.directory.path().join("state.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fixture.db.transaction(&[accepted("a", None)]).unwrap_err();
    assert!(matches!(error, StateError::Busy { .. }), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    fixture.db.transaction(&[accepted("a", None)]).unwrap();
}

#[test]
fn words_of_a_newer_program_are_shown_as_they_are() {
    let fixture = Fixture::with(&[
        accepted("a", None),
        started("a", 1),
        ended("a", 2, 3),
        accepted("b", None),
        ended("b", 4, 5),
    ]);
    fixture.by_hand(
        "UPDATE task SET reason = 'bored', containment = 'vault', deadlines = '{\"new\":1}'
         WHERE id = 'a'",
    );
    let tasks = fixture.db.tasks(crate::Filter::Ended, None, 10).unwrap();
    assert_eq!(tasks.len(), 2);
    let odd = &tasks[1];
    assert_eq!(odd.accepted.deadlines, None);
    assert_eq!(odd.started.as_ref().unwrap().containment, Word::Unknown("vault".to_owned()));
    let end = odd.ended.as_ref().unwrap();
    assert_eq!(end.reason, Word::Unknown("bored".to_owned()));
    assert_eq!(end.verdict, Word::Known(Verdict::TimedOut));
    assert_eq!((end.reason.known(), odd.completed()), (None, None));
    assert_eq!(tasks[0].completed().unwrap().reason, EndReason::Timeout);
}

#[test]
fn every_reason_and_verdict_is_read_back_as_itself() {
    use EndReason as R;
    use Verdict as V;
    let pairs = [
        (R::Exit, V::Succeeded),
        (R::Signal, V::Failed),
        (R::Canceled, V::Canceled),
        (R::Timeout, V::TimedOut),
        (R::IdleTimeout, V::NoResult),
        (R::Lingered, V::Auth),
        (R::OutputLimit, V::OutputLimit),
        (R::SpawnFailed, V::SpawnFailed),
        (R::WorkerDied, V::WorkerDied),
        (R::SupervisorLost, V::RateLimited),
        (R::ResourceLimit, V::ResourceLimit),
        (R::Disconnected, V::Canceled),
    ];
    let mut fixture = Fixture::new();
    for (number, (reason, verdict)) in pairs.into_iter().enumerate() {
        let end = Change::TaskEnded {
            id: id(number),
            at_ms: 1,
            completed: Box::new(Completed { reason, verdict, ..completed() }),
            last_seq: 1,
            log_bytes: 1,
            result: None,
        };
        fixture.db.transaction(&[accepted(&id(number), None), end]).unwrap();
        let read = fixture.db.task(&id(number)).unwrap().unwrap().completed().unwrap();
        assert_eq!((read.reason, read.verdict), (reason, verdict));
    }
}

#[test]
fn both_ways_to_hold_a_tree_together_are_read_back_as_themselves() {
    let mut fixture = Fixture::new();
    for containment in [Containment::Cgroup, Containment::Subreaper] {
        let id = containment.as_str();
        let started = Started { pid: 2, worker_pid: 1, containment, isolation: Default::default() };
        let start = Change::TaskStarted { id: id.to_owned(), at_ms: 1, started };
        fixture.db.transaction(&[accepted(id, None), start]).unwrap();
        let read = fixture.db.task(id).unwrap().unwrap().started.unwrap();
        assert_eq!(read.containment, Word::Known(containment));
    }
}
