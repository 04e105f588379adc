use cc_events::Containment;
use cc_link::spec::Fsync;
use tempfile::TempDir;

use super::*;

fn record(seq: u64, event: Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    Record { seq, time_ms: 1, body: Body::Event(event) }.encode(&mut bytes).unwrap();
    bytes
}

fn started() -> Started {
    Started {
        pid: 7,
        worker_pid: 6,
        containment: Containment::Subreaper,
        isolation: Default::default(),
    }
}

/// A task whose worker wrote `logged` to the log, of which the pipe delivered the first `delivered` records.
fn dead(directory: &TempDir, logged: &[Vec<u8>], delivered: usize) -> LostTask {
    let path = directory.path().join("log");
    if !logged.is_empty() {
        LogWriter::create(&path, Fsync::Never).unwrap().append(&logged.concat()).unwrap();
    }
    let feed = Feed::new(path, 1000);
    for (seq, frame) in (1..).zip(&logged[..delivered]) {
        feed.append(frame.clone().into(), seq, false);
    }
    LostTask {
        task_id: "id".to_owned(),
        leaf: None,
        feed,
        started: (delivered > 0).then(started),
        duration: Some(Duration::from_millis(5)),
        failure: Failure::Died,
        worker: LostWorker { pid: Some(6), descendants: Vec::new() },
        error: None,
    }
}

fn close(lost: &LostTask) -> Box<Completed> {
    let text = "the worker was killed by SIGKILL".to_owned();
    let swept = Swept { killed: 2, unkillable: 0 };
    let completed = Box::new(completed(lost, Leftovers { text, swept, doubt: None }));
    close_log(lost, completed, Fsync::Never)
}

/// The log as a reader sees it, which must be what the feed holds.
fn events(lost: &LostTask) -> Vec<Event> {
    let log = recover(lost.feed.log_path()).unwrap();
    let position = lost.feed.position();
    assert!(position.is_done && log.completed);
    assert_eq!((position.last_seq, position.end_offset), (log.last_seq, log.end_offset));
    let mut bytes = bytes::BytesMut::from(&lost.feed.frames_from(8).unwrap().concat()[..]);
    let mut events = Vec::new();
    while let Some(record) = cc_link::record::decode(&mut bytes).unwrap() {
        let Body::Event(event) = record.body else { panic!("no event") };
        events.push(event);
    }
    events
}

#[test]
fn what_the_pipe_did_not_deliver_is_published_and_the_terminal_event_follows() {
    let directory = tempfile::tempdir().unwrap();
    let logged = [record(1, Event::Started(started())), record(2, Event::Paused)];
    let lost = dead(&directory, &logged, 1);
    let terminal = close(&lost);
    assert_eq!((terminal.reason, terminal.verdict), (EndReason::WorkerDied, Verdict::WorkerDied));
    assert_eq!((terminal.pid, terminal.exit_code, terminal.killed_leftovers), (7, -9, 2));
    assert_eq!(
        events(&lost),
        [Event::Started(started()), Event::Paused, Event::Completed(terminal)]
    );
}

#[test]
fn a_terminal_event_that_was_written_but_not_delivered_is_the_only_one() {
    let directory = tempfile::tempdir().unwrap();
    let own =
        Completed { reason: EndReason::Exit, exit_code: 0, ..*close(&dead(&directory, &[], 0)) };
    std::fs::remove_file(directory.path().join("log")).unwrap();
    let own = Event::Completed(Box::new(own));
    let logged = [record(1, Event::Started(started())), record(2, own.clone())];
    let lost = dead(&directory, &logged, 1);
    assert_eq!(close(&lost).reason, EndReason::Exit);
    assert_eq!(events(&lost), [Event::Started(started()), own]);
}

#[test]
fn a_worker_that_never_made_a_log_leaves_one_with_a_terminal_event() {
    let directory = tempfile::tempdir().unwrap();
    let lost = dead(&directory, &[], 0);
    let terminal = close(&lost);
    assert_eq!(events(&lost), [Event::Completed(terminal)]);
}

#[test]
fn a_worker_that_died_before_it_made_a_log_had_not_started_its_task_which_is_the_machines_trouble()
{
    let directory = tempfile::tempdir().unwrap();
    let terminal = close(&dead(&directory, &[], 0));
    assert!(never_began(&terminal));
    assert_eq!(terminal.spawn_failure, Some(SpawnFailureKind::Means));
    let text = "the worker was killed by SIGKILL, before it had started the task";
    assert_eq!((terminal.error.as_deref(), terminal.signal), (Some(text), None));
    // A log without a start: it may have been about to say so.
    let directory = tempfile::tempdir().unwrap();
    drop(LogWriter::create(&directory.path().join("log"), Fsync::Never).unwrap());
    let terminal = close(&dead(&directory, &[], 0));
    assert!(!never_began(&terminal));
    assert_eq!(terminal.spawn_failure, None);
}

#[test]
fn only_a_worker_that_came_too_late_leaves_it_certain_that_nothing_ran() {
    for (failure, is_certain) in [(Failure::TooLate, true), (Failure::Died, false)] {
        let directory = tempfile::tempdir().unwrap();
        drop(LogWriter::create(&directory.path().join("log"), Fsync::Never).unwrap());
        let terminal = close(&LostTask { failure, ..dead(&directory, &[], 0) });
        assert_eq!(terminal.verdict, Verdict::WorkerDied);
        assert_eq!(never_began(&terminal), is_certain);
    }
}

#[test]
fn a_torn_log_is_cut_and_completed_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let logged = [record(1, Event::Started(started())), record(2, Event::Paused)];
    let lost = dead(&directory, &logged, 2);
    let file = std::fs::OpenOptions::new().write(true).open(lost.feed.log_path()).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let terminal = close(&lost);
    assert_eq!(events(&lost).last(), Some(&Event::Completed(terminal)));
}

#[test]
fn where_no_log_can_be_written_the_followers_still_get_the_terminal_event() {
    let directory = tempfile::tempdir().unwrap();
    let mut lost = dead(&directory, &[], 0);
    lost.feed = Feed::new(directory.path().join("missing/log"), 1000);
    close(&lost);
    assert!(lost.feed.position().is_done);
    assert_eq!(lost.feed.position().last_seq, 1);
}
