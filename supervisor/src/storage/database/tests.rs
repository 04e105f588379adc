use cc_state::TaskAccepted;

use super::*;

fn task(id: &str, session_id: Option<&str>) -> Change {
    Change::TaskAccepted(Box::new(TaskAccepted {
        id: id.to_owned(),
        session_id: session_id.map(str::to_owned),
        label: None,
        command: "true".to_owned(),
        accepted_ms: 1,
        is_claude: false,
        is_prompt: false,
        leaf: None,
        deadlines: None,
        batch_id: None,
        shape: None,
        token: None,
    }))
}

#[tokio::test]
async fn a_change_that_cannot_be_made_fails_alone_and_a_read_sees_all_that_came_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::for_tests(directory.path(), Arc::default());
    // The thread is busy until everything is queued, so that it is one group.
    let (release, released) = std::sync::mpsc::sync_channel(1);
    let busy = store.read(move |_| {
        released.recv().unwrap();
        Ok(())
    });
    let queueing = async {
        let good = store.commit(vec![task("good", None)]);
        let bad = store.commit(vec![task("bad", Some("a session that never began"))]);
        store.write(vec![task("unwaited", None)]).await;
        release.send(()).unwrap();
        tokio::join!(good, bad)
    };
    let (held, (good, bad)) = tokio::join!(busy, queueing);
    held.unwrap();
    good.unwrap();
    assert!(bad.unwrap_err().to_string().contains("state database"));
    let there = |id: &'static str| store.read(move |db| db.task(id));
    assert!(there("good").await.unwrap().is_some());
    assert!(there("unwaited").await.unwrap().is_some());
    assert!(there("bad").await.unwrap().is_none());
}

#[tokio::test]
async fn a_task_without_a_directory_is_not_put_on_record_and_stops_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let health = Arc::<Health>::default();
    let store = Store::for_tests(directory.path(), Arc::clone(&health));
    let (there, there_already) = (directory.path().join("good"), directory.path().join("bad"));
    std::fs::write(&there_already, "").unwrap();
    let (good, bad) = tokio::join!(
        store.put_on_record("good", vec![task("good", None)]),
        store.put_on_record("bad", vec![task("bad", None)]),
    );
    good.unwrap();
    assert!(there.is_dir());
    let error = bad.unwrap_err().to_string();
    assert!(error.contains(there_already.to_str().unwrap()), "which one: {error}");
    assert!(store.read(|db| db.task("good")).await.unwrap().is_some());
    assert!(store.read(|db| db.task("bad")).await.unwrap().is_none());
    assert!(health.texts().is_empty(), "the database is not at fault");
}

#[tokio::test]
async fn a_note_is_committed_although_no_caller_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = Store::for_tests(directory.path(), Arc::default());
    // It has just written something, so that the note does not wake it.
    store.commit(vec![task("waited for", None)]).await.unwrap();
    assert!(store.note(task("noted", None)));
    let patience = Instant::now() + std::time::Duration::from_secs(60);
    let (elsewhere, _) = StateDb::open(&path).unwrap();
    while elsewhere.task("noted").unwrap().is_none() {
        assert!(Instant::now() < patience, "it is not there");
        tokio::task::yield_now().await;
    }
}
