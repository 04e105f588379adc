//! Random sequences of changes, in random groups, against what the words of [`Change`] promise.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    Change, Filter, Opened, StateDb,
    fixture::{Fixture, accepted, begun, closed, ended, id, started},
};

#[derive(Default)]
struct Model {
    sessions: BTreeMap<String, Session>,
    /// In the order of acceptance.
    tasks: Vec<Task>,
}

#[derive(Default)]
struct Session {
    disconnected_ms: Option<u64>,
    closed_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Task {
    id: String,
    session_id: Option<String>,
    started_ms: Option<u64>,
    ended_ms: Option<u64>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::SessionBegun { id, .. } => {
                self.sessions.entry(id.clone()).or_default();
            }
            Change::SessionDisconnected { id, at_ms } => self.open_session(id, |session| {
                session.disconnected_ms.get_or_insert(*at_ms);
            }),
            Change::SessionConnected { id } => {
                self.open_session(id, |session| session.disconnected_ms = None);
            }
            Change::SessionClosed { id, at_ms } => {
                self.open_session(id, |session| session.closed_ms = Some(*at_ms));
            }
            Change::TombstonesPruned { before_ms } => {
                let tasks = &self.tasks;
                self.sessions.retain(|id, session| {
                    session.closed_ms.is_none_or(|closed| closed >= *before_ms)
                        || tasks.iter().any(|task| task.session_id.as_ref() == Some(id))
                });
            }
            Change::TaskAccepted(task) => {
                if self.task(&task.id).is_none() {
                    self.tasks.push(Task {
                        id: task.id.clone(),
                        session_id: task.session_id.clone(),
                        started_ms: None,
                        ended_ms: None,
                    });
                }
            }
            Change::TaskStarted { id, at_ms, .. } => {
                if let Some(task) = self.task(id) {
                    task.started_ms.get_or_insert(*at_ms);
                }
            }
            Change::TaskDetached { id } => {
                if let Some(task) = self.task(id) {
                    task.session_id = None;
                }
            }
            Change::TaskEnded { id, at_ms, .. } => {
                if let Some(task) = self.task(id) {
                    task.ended_ms.get_or_insert(*at_ms);
                }
            }
            Change::TaskForgotten { id } => {
                self.tasks.retain(|task| task.id != *id || task.ended_ms.is_none());
            }
            // Batches know nothing of sessions and tasks, and have tests of their own.
            Change::BatchSubmitted(_) | Change::BatchStepped(_) | Change::BatchesPruned { .. } => {}
        }
    }

    fn task(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.id == id)
    }

    fn open_session(&mut self, id: &str, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.closed_ms.is_none()
        {
            change(session);
        }
    }

    fn check(&self, db: &StateDb) {
        for number in 0..SESSIONS {
            let read = db.session(&session(number)).unwrap();
            let read = read.map(|row| (row.disconnected_ms, row.closed_ms));
            let expected = self.sessions.get(&session(number));
            assert_eq!(read, expected.map(|session| (session.disconnected_ms, session.closed_ms)));
            let of_session = |task: &&Task| task.session_id == Some(session(number));
            let expected: Vec<_> = self.tasks.iter().filter(of_session).cloned().collect();
            assert_eq!(tasks(db.session_tasks(&session(number), None, 100).unwrap()), expected);
        }
        let mut newest_first = tasks(db.tasks(Filter::All, None, 100).unwrap());
        newest_first.reverse();
        assert_eq!(newest_first, self.tasks);
        let is_unfinished = |task: &&Task| task.ended_ms.is_none();
        let expected: Vec<_> = self.tasks.iter().filter(is_unfinished).cloned().collect();
        assert_eq!(tasks(db.unfinished_tasks().unwrap()), expected);
        let ended = self.tasks.len() - expected.len();
        assert_eq!(db.retention_candidates(0).unwrap().ended_tasks, ended as u64);
    }
}

const SESSIONS: usize = 3;
const TASKS: usize = 6;

fn session(number: usize) -> String {
    format!("session {number}")
}

fn tasks(rows: Vec<crate::TaskRow>) -> Vec<Task> {
    rows.into_iter()
        .map(|row| Task {
            id: row.accepted.id,
            session_id: row.accepted.session_id,
            started_ms: row.started.map(|start| start.at_ms),
            ended_ms: row.ended.map(|end| end.at_ms),
        })
        .collect()
}

fn change() -> impl Strategy<Value = Change> {
    let session = || (0..SESSIONS).prop_map(session);
    let task = || (0..TASKS).prop_map(id);
    let at_ms = || 1..1_000_u64;
    prop_oneof![
        1 => session().prop_map(|id| begun(&id)),
        1 => (session(), at_ms()).prop_map(|(id, at_ms)| Change::SessionDisconnected { id, at_ms }),
        1 => session().prop_map(|id| Change::SessionConnected { id }),
        1 => (session(), at_ms()).prop_map(|(id, at_ms)| closed(&id, at_ms)),
        1 => at_ms().prop_map(|before_ms| Change::TombstonesPruned { before_ms }),
        4 => (task(), proptest::option::of(session()))
            .prop_map(|(id, session)| accepted(&id, session.as_deref())),
        2 => (task(), at_ms()).prop_map(|(id, at_ms)| started(&id, at_ms)),
        1 => task().prop_map(|id| Change::TaskDetached { id }),
        3 => (task(), at_ms()).prop_map(|(id, at_ms)| ended(&id, at_ms, at_ms)),
        2 => task().prop_map(|id| Change::TaskForgotten { id }),
    ]
}

/// A task's session is begun before the task, also where it was pruned.
fn with_its_session(change: Change) -> Vec<Change> {
    match &change {
        Change::TaskAccepted(task) => {
            let session = task.session_id.as_deref().map(begun);
            session.into_iter().chain([change]).collect()
        }
        Change::SessionBegun { .. }
        | Change::SessionDisconnected { .. }
        | Change::SessionConnected { .. }
        | Change::SessionClosed { .. }
        | Change::TombstonesPruned { .. }
        | Change::TaskStarted { .. }
        | Change::TaskDetached { .. }
        | Change::TaskEnded { .. }
        | Change::TaskForgotten { .. }
        | Change::BatchSubmitted(_)
        | Change::BatchStepped(_)
        | Change::BatchesPruned { .. } => vec![change],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_sequence_of_changes_gives_what_their_words_say(
        groups in proptest::collection::vec(proptest::collection::vec(change(), 1..8), 1..12),
    ) {
        let Fixture { mut db, directory } = Fixture::new();
        let mut model = Model::default();
        for group in groups {
            let group: Vec<Change> = group.into_iter().flat_map(with_its_session).collect();
            db.transaction(&group).unwrap();
            group.iter().for_each(|change| model.apply(change));
            model.check(&db);
        }
        drop(db);
        let (db, opened) = StateDb::open(&directory.path().join("state.db")).unwrap();
        prop_assert_eq!(opened, Opened::AsItWas);
        model.check(&db);
    }
}
