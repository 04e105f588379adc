use cc_state::StateDb;

use super::*;

struct Fixture {
    sessions: Arc<Sessions>,
    store: Store,
    _directory: tempfile::TempDir,
}

fn fixture(grace: Duration) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::for_tests(directory.path(), Arc::default());
    let registry = Arc::new(Registry::new(10));
    let metrics = Arc::new(Metrics::new());
    let sessions = Arc::new(Sessions::new(grace, registry, store.clone(), metrics));
    Fixture { sessions, store, _directory: directory }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_session_is_found_by_its_own_token_and_by_no_other() {
    let Fixture { sessions, .. } = fixture(LONG);
    let (first, first_token) = sessions.begin(&sessions.connection_handle(), None).unwrap();
    let (second, second_token) = sessions.begin(&sessions.connection_handle(), None).unwrap();
    assert_ne!(first_token.reveal(), second_token.reveal());
    assert!(sessions.find(first.id(), first_token.reveal(), &Access::Full).is_ok());
    for (id, token) in [
        (first.id(), second_token.reveal()),
        (first.id(), ""),
        (second.id(), &first_token.reveal()[1..]),
        ("unknown", first_token.reveal()),
    ] {
        assert_eq!(sessions.find(id, token, &Access::Full).unwrap_err(), NoSession::Unknown);
    }
    assert!(!format!("{first_token:?}").contains(first_token.reveal()));
}

#[tokio::test]
async fn a_resume_evicts_the_connection_that_has_the_session() {
    let Fixture { sessions, .. } = fixture(LONG);
    let (old, new) = (sessions.connection_handle(), sessions.connection_handle());
    let (session, _) = sessions.begin(&old, None).unwrap();
    sessions.happened(&session, Input::Greeted(old.number)).await;
    sessions.take_over(&session, &new).unwrap();
    old.evicted.notified().await;
    // The old connection does not speak for the session any more.
    assert_eq!(session.accept(old.number, "task", || Ok(())), Err(None));
    sessions.happened(&session, Input::Lost(old.number)).await;
    assert_eq!(session.accept(new.number, "task", || Ok(())), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_session_waits_for_its_grace_period_and_is_expired_afterwards() {
    let Fixture { sessions, .. } = fixture(Duration::from_secs(300));
    let connection = sessions.connection_handle();
    let (session, token) = sessions.begin(&connection, None).unwrap();
    sessions.happened(&session, Input::Greeted(connection.number)).await;
    sessions.happened(&session, Input::Lost(connection.number)).await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert!(sessions.find(session.id(), token.reveal(), &Access::Full).is_ok());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        sessions.find(session.id(), token.reveal(), &Access::Full).unwrap_err(),
        NoSession::Expired
    );
    assert_eq!(
        sessions.find(session.id(), "another", &Access::Full).unwrap_err(),
        NoSession::Unknown
    );
    assert_eq!(
        sessions.take_over(&session, &sessions.connection_handle()),
        Err(NoSession::Expired)
    );
}

#[tokio::test]
async fn without_a_grace_period_a_lost_connection_is_the_end() {
    let Fixture { sessions, .. } = fixture(Duration::ZERO);
    let connection = sessions.connection_handle();
    let (session, token) = sessions.begin(&connection, None).unwrap();
    sessions.happened(&session, Input::Greeted(connection.number)).await;
    sessions.happened(&session, Input::Lost(connection.number)).await;
    assert_eq!(
        sessions.find(session.id(), token.reveal(), &Access::Full).unwrap_err(),
        NoSession::Expired
    );
}

#[tokio::test]
async fn of_too_many_that_wait_the_oldest_makes_room() {
    let Fixture { sessions, .. } = fixture(LONG);
    let mut waiting = Vec::new();
    for _ in 0..=limits::WAITING_SESSIONS {
        let connection = sessions.connection_handle();
        let (session, token) = sessions.begin(&connection, None).unwrap();
        sessions.happened(&session, Input::Greeted(connection.number)).await;
        sessions.happened(&session, Input::Lost(connection.number)).await;
        waiting.push((session, token));
    }
    assert_eq!(sessions.waiting_count(), limits::WAITING_SESSIONS);
    let is_there = |(session, token): &(Arc<Session>, ResumeToken)| {
        sessions.find(session.id(), token.reveal(), &Access::Full).is_ok()
    };
    assert!(!is_there(&waiting[0]));
    assert!(waiting[1..].iter().all(is_there));
}

#[tokio::test]
async fn the_database_has_a_session_from_its_first_task_on_and_its_end_and_never_its_token() {
    let Fixture { sessions, store, .. } = fixture(LONG);
    let connection = sessions.connection_handle();
    let (session, token) = sessions.begin(&connection, None).unwrap();
    sessions.happened(&session, Input::Greeted(connection.number)).await;
    session.accept(connection.number, "task", || Ok(())).unwrap();
    store.commit(vec![session.record()]).await.unwrap();
    let rows = store.read(StateDb::sessions).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(is_token_of(token.reveal(), &rows[0].token_hash));
    assert!(!rows[0].token_hash.escape_ascii().to_string().contains(token.reveal()));
    sessions.happened(&session, Input::Close).await;
    assert!(store.read(StateDb::sessions).await.unwrap().is_empty());
    // A supervisor that starts later knows that it was there.
    let id = session.id().to_owned();
    let row = store.read(move |db| db.session(&id)).await.unwrap().unwrap();
    assert!(row.closed_ms.is_some() && is_token_of(token.reveal(), &row.token_hash));
}
