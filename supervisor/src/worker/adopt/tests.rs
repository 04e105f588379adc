use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    thread::{self, JoinHandle},
};

use cc_events::{Containment, Event, Started};
use cc_link::{key::Key, record::Record, spec::Deadlines};
use tempfile::TempDir;

use super::*;

const SOON: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory whose path is longer than a socket's address.
fn deep_directory() -> (TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&directory).unwrap();
    (temporary, directory)
}

fn listen(directory: &Path) -> UnixListener {
    let opened = File::open(directory).unwrap();
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", opened.as_raw_fd());
    UnixListener::bind(path).unwrap()
}

/// A worker in this process, which reads the question and then runs `behave`.
fn worker(
    listener: UnixListener,
    behave: impl FnOnce(&mut UnixStream) + Send + 'static,
) -> JoinHandle<Control> {
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut line = Vec::new();
        BufReader::new(&connection).read_until(b'\n', &mut line).unwrap();
        behave(&mut connection);
        Control::from_line(&line).unwrap()
    })
}

fn frame(seq: u64, body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    Record { seq, time_ms: 1, body }.encode(&mut bytes).unwrap();
    bytes
}

fn adopted() -> Adopted {
    Adopted {
        link_version: 1,
        task_id: "id".to_owned(),
        started: Started {
            pid: 7,
            worker_pid: 6,
            containment: Containment::Subreaper,
            isolation: Default::default(),
        },
        end_offset: 100,
        last_seq: 3,
        is_paused: false,
        ending: None,
        deadlines: Deadlines {
            total_ms: None,
            silence_ms: None,
            first_output_ms: None,
            linger_ms: 1,
            grace_ms: 1,
        },
        total_left_ms: None,
        leaf: None,
    }
}

#[tokio::test]
async fn a_worker_is_found_by_its_directory_however_long_its_path_is() {
    let (_temporary, directory) = deep_directory();
    let worker = worker(listen(&directory), |connection| {
        let mut bytes = frame(0, Body::Notice(Notice::Adopted(Box::new(adopted()))));
        bytes.extend(frame(4, Body::Event(Event::Paused)));
        connection.write_all(&bytes).unwrap();
    });
    let mut candidate = Candidate::find(&directory, &key()).await.unwrap().unwrap();
    assert_eq!(candidate.process.pid(), std::process::id() as i32);
    let Some(AdoptReply::Adopted(answer)) = candidate.answer(PATIENCE).await else {
        panic!("not adopted");
    };
    assert_eq!(*answer, adopted());
    assert_eq!(
        worker.join().unwrap(),
        Control::Adopt(Adopt { versions: VersionRange::OWN, key: Some(key().key) })
    );
    let (mut worker, mut received) = candidate.into_worker();
    while worker.read(&mut received).await.unwrap() > 0 {}
    let next = decode(&mut received).unwrap().unwrap();
    assert_eq!((next.seq, next.body), (4, Body::Event(Event::Paused)), "what follows is not lost");
}

#[tokio::test]
async fn where_no_process_listens_there_is_no_worker() {
    let directory = tempfile::tempdir().unwrap();
    let find = async |path: &Path| Candidate::find(path, &key()).await.unwrap().is_none();
    assert!(find(directory.path()).await, "no socket");
    assert!(find(&directory.path().join("missing")).await, "no directory");
    drop(listen(directory.path()));
    assert!(directory.path().join(SOCKET_NAME).exists());
    assert!(find(directory.path()).await, "a socket that was left behind");
}

#[tokio::test]
async fn a_worker_that_speaks_no_common_version_is_foreign_and_says_what_it_speaks() {
    let directory = tempfile::tempdir().unwrap();
    let versions = VersionRange { oldest: 7, newest: 9 };
    let worker = worker(listen(directory.path()), move |connection| {
        let refused = Body::Notice(Notice::AdoptionRefused { versions });
        connection.write_all(&frame(0, refused)).unwrap();
    });
    let mut candidate = Candidate::find(directory.path(), &key()).await.unwrap().unwrap();
    let Some(AdoptReply::Foreign(why)) = candidate.answer(PATIENCE).await else {
        panic!("not foreign");
    };
    assert!(why.to_string().contains("7 to 9"), "{why}");
    worker.join().unwrap();
}

#[tokio::test]
async fn a_listener_that_says_anything_else_is_foreign() {
    for bytes in
        [b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(4), frame(1, Body::Event(Event::Paused))]
    {
        let directory = tempfile::tempdir().unwrap();
        let worker = worker(listen(directory.path()), move |connection| {
            connection.write_all(&bytes).unwrap();
        });
        let mut candidate = Candidate::find(directory.path(), &key()).await.unwrap().unwrap();
        let answer = candidate.answer(PATIENCE).await;
        assert!(matches!(answer, Some(AdoptReply::Foreign(_))), "{answer:?}");
        worker.join().unwrap();
    }
}

#[tokio::test]
async fn an_answer_can_be_waited_for_again_and_its_end_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listen(directory.path());
    let mut candidate = Candidate::find(directory.path(), &key()).await.unwrap().unwrap();
    assert!(candidate.answer(SOON).await.is_none(), "no worker has accepted yet");
    let worker = worker(listener, |connection| {
        connection
            .write_all(&frame(0, Body::Notice(Notice::Pong { nonce: 1, version: None }))[..5])
            .unwrap();
    });
    let answer = candidate.answer(PATIENCE).await;
    assert!(matches!(answer, Some(AdoptReply::HungUp)), "{answer:?}");
    worker.join().unwrap();
}

fn key() -> AdoptionKey {
    AdoptionKey { key: Key::from_text(&"5a".repeat(32)).unwrap(), is_new: false }
}
