//! A worker whose supervisor vanishes keeps its promises to the next one.

use std::{
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use crate::support::{Worker, end_of_gapless, in_two_halves, numbers, spec, stdout};
use cc_events::{EndReason, Event};
use cc_link::{
    LINK_VERSION,
    adopt::{ADOPT_LINE_BYTES_LIMIT, Adopt, VersionRange},
    control::Control,
    notice::Notice,
    record::{LOG_MAGIC, frame_bytes},
    spec::OnSupervisorLoss,
};
use cc_tasklog::FIRST_RECORD_OFFSET;

const ADOPT: Control = Control::Adopt(Adopt { versions: VersionRange::OWN, key: None });

#[test]
fn a_worker_that_lost_its_supervisor_in_a_flood_goes_on_for_the_next_without_a_gap() {
    let mut worker = Worker::run(&in_two_halves("seq 1 100000", "seq 100001 200000"));
    worker.lose_starter();
    let mut connection = worker.connect();
    let adopted = connection.adopt();
    assert_eq!(adopted.link_version, LINK_VERSION);
    assert_eq!(adopted.task_id, spec("").task_id);
    assert_eq!(adopted.deadlines, spec("").deadlines);
    assert!(adopted.total_left_ms.is_some_and(|left_ms| left_ms <= 600_000));
    assert_eq!((adopted.is_paused, adopted.ending, &adopted.leaf), (false, None, &None));
    worker.release();
    let mut records = worker.log(FIRST_RECORD_OFFSET, Some(adopted.end_offset));
    assert_eq!(records.len() as u64, adopted.last_seq);
    records.extend(connection.records.rest());
    assert_eq!(end_of_gapless(&records).reason, EndReason::Exit);
    assert_eq!(stdout(&records), numbers(1..=200_000));
    assert_eq!(records, worker.whole_log());
    assert!(worker.wait().success());
}

#[test]
fn a_task_that_ends_while_nobody_is_there_has_its_whole_log_and_no_socket() {
    let mut worker = Worker::run("seq 1 200000; exit 3");
    worker.lose_starter();
    assert!(worker.wait().success());
    let records = worker.whole_log();
    let end = end_of_gapless(&records);
    assert_eq!((end.reason, end.exit_code), (EndReason::Exit, 3));
    assert_eq!(stdout(&records), numbers(1..=200_000));
    assert!(!worker.socket_path().exists());
}

#[test]
fn the_newest_adopter_wins_and_the_one_before_is_hung_up_on() {
    let mut worker = Worker::run(&in_two_halves("echo before", "echo after"));
    worker.starter().records.until_started();
    let mut first = worker.connect();
    first.adopt();
    // The supervisor that started it is alive and has lost it all the same.
    worker.starter().records.rest();
    let mut second = worker.connect();
    let adopted = second.adopt();
    first.records.rest();
    worker.release();
    let mut records = worker.log(FIRST_RECORD_OFFSET, Some(adopted.end_offset));
    records.extend(second.records.rest());
    assert_eq!(end_of_gapless(&records).reason, EndReason::Exit);
    assert_eq!(stdout(&records), b"before\nafter\n");
}

#[test]
fn of_two_adopters_at_once_one_has_the_worker_and_hears_everything() {
    let mut worker = Worker::run(&in_two_halves("echo before", "echo after"));
    worker.lose_starter();
    let (mut first, mut second) = (worker.connect(), worker.connect());
    second.tell(&ADOPT);
    first.tell(&ADOPT);
    let both = [(first.adopted().unwrap(), first), (second.adopted().unwrap(), second)];
    worker.release();
    let records = both.map(|(adopted, mut connection)| {
        let mut records = worker.log(FIRST_RECORD_OFFSET, Some(adopted.end_offset));
        records.extend(connection.records.rest());
        records
    });
    assert!(worker.wait().success());
    let whole = worker.whole_log();
    end_of_gapless(&whole);
    assert_eq!(records.iter().filter(|records| **records == whole).count(), 1);
}

#[test]
fn a_paused_task_is_adopted_paused_and_can_be_resumed() {
    let mut worker = Worker::run("echo once; exec sleep 600");
    worker.starter().tell(&Control::Pause);
    worker.starter().records.until(|event| matches!(event, Event::Paused));
    worker.starter = None;
    let mut connection = worker.connect();
    let adopted = connection.adopt();
    assert!(adopted.is_paused);
    let left_ms = adopted.total_left_ms;
    drop(connection);
    let mut connection = worker.connect();
    let adopted = connection.adopt();
    assert_eq!((adopted.is_paused, adopted.total_left_ms), (true, left_ms));
    connection.tell(&Control::Resume);
    connection.records.until(|event| matches!(event, Event::Resumed));
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    let mut records = worker.log(FIRST_RECORD_OFFSET, Some(adopted.end_offset));
    assert!(records.iter().all(|record| record.seq <= adopted.last_seq));
    connection.records.rest();
    records = worker.whole_log();
    assert_eq!(end_of_gapless(&records).reason, EndReason::Canceled);
}

#[test]
fn a_task_that_is_being_ended_is_adopted_as_such_and_can_be_killed() {
    let mut worker = Worker::run("trap '' TERM; echo ready; while :; do sleep 600; done");
    worker.starter().records.until_started();
    while worker.starter().records.next().unwrap().seq < 2 {}
    worker.starter().tell(&Control::Cancel { reason: EndReason::Canceled });
    worker.starter().records.until(|event| matches!(event, Event::Canceled { .. }));
    worker.starter = None;
    let mut connection = worker.connect();
    let adopted = connection.adopt();
    assert_eq!((adopted.ending, adopted.is_paused), (Some(EndReason::Canceled), false));
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    let mut records = worker.log(FIRST_RECORD_OFFSET, Some(adopted.end_offset));
    records.extend(connection.records.rest());
    assert_eq!(end_of_gapless(&records).reason, EndReason::Canceled);
}

#[test]
fn commands_sent_together_with_the_question_are_obeyed() {
    let mut worker = Worker::run("exec sleep 600");
    worker.lose_starter();
    let mut connection = worker.connect();
    let mut lines = ADOPT.to_line().unwrap();
    lines.extend(Control::Ping { nonce: 7 }.to_line().unwrap());
    lines.extend(Control::Cancel { reason: EndReason::Disconnected }.to_line().unwrap());
    // The last line comes in two halves.
    let (whole, half) = lines.split_at(lines.len() - 10);
    connection.send(whole);
    connection.adopted().unwrap();
    assert!(matches!(connection.records.notice(), Some(Notice::Pong { nonce: 7, .. })));
    connection.send(half);
    connection.records.rest();
    assert_eq!(end_of_gapless(&worker.whole_log()).reason, EndReason::Disconnected);
}

#[test]
fn callers_that_say_nothing_or_something_else_are_hung_up_on_and_harm_nobody() {
    let mut worker = Worker::run(&in_two_halves("echo before", "echo after"));
    worker.starter().records.until_started();
    let too_long = vec![b'a'; ADOPT_LINE_BYTES_LIMIT];
    let not_a_question = Control::Ping { nonce: 1 }.to_line().unwrap();
    for garbage in [b"\n".as_slice(), b"{\"adopt\":7}\n", b"\0\xff\n", &too_long, &not_a_question] {
        let mut connection = worker.connect();
        connection.send(garbage);
        connection.hung_up();
    }
    drop(worker.connect());
    let mut half = worker.connect();
    half.send(b"{\"adopt\":{\"old");
    let mut silent: Vec<_> = (0..20).map(|_| worker.connect()).collect();
    // The oldest had to make room for the others.
    half.hung_up();
    let mut adopter = worker.connect();
    adopter.adopt();
    worker.release();
    adopter.records.rest();
    let records = worker.whole_log();
    end_of_gapless(&records);
    assert_eq!(stdout(&records), b"before\nafter\n");
    assert!(worker.wait().success());
    for connection in &mut silent {
        connection.hung_up();
    }
}

#[test]
fn an_adopter_that_shares_no_version_is_told_so_and_the_supervisor_keeps_its_worker() {
    let mut worker = Worker::run(&in_two_halves("echo before", "echo after"));
    let mut records = worker.starter().records.until_started();
    let mut connection = worker.connect();
    let versions = VersionRange { oldest: LINK_VERSION + 1, newest: LINK_VERSION + 9 };
    connection.tell(&Control::Adopt(Adopt { versions, key: None }));
    let refused = Notice::AdoptionRefused { versions: VersionRange::OWN };
    assert_eq!(connection.records.notice(), Some(refused));
    connection.hung_up();
    worker.release();
    records.extend(worker.starter().records.rest());
    end_of_gapless(&records);
    assert_eq!(stdout(&records), b"before\nafter\n");
}

#[test]
fn a_newer_supervisor_speaks_the_version_of_the_worker() {
    let mut worker = Worker::run("exec sleep 600");
    worker.lose_starter();
    let mut connection = worker.connect();
    let versions = VersionRange { oldest: LINK_VERSION, newest: LINK_VERSION + 9 };
    connection.tell(&Control::Adopt(Adopt { versions, key: None }));
    assert_eq!(connection.adopted().unwrap().link_version, LINK_VERSION);
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    connection.records.rest();
}

#[test]
fn the_log_of_an_adopted_worker_is_of_this_version_and_its_lines_are_packed() {
    let mut worker = Worker::run(&in_two_halves("seq 1 1000", "seq 1001 2000"));
    worker.lose_starter();
    let mut connection = worker.connect();
    assert_eq!(connection.adopt().link_version, LINK_VERSION);
    worker.release();
    connection.records.rest();
    assert!(worker.wait().success());
    let log = std::fs::read(worker.log_path()).unwrap();
    assert!(log.starts_with(&LOG_MAGIC));
    let records = worker.whole_log();
    end_of_gapless(&records);
    assert_eq!(stdout(&records), numbers(1..=2000));
    let (mut bytes, mut frames) = (&log[FIRST_RECORD_OFFSET as usize..], 0);
    while let Some(length) = frame_bytes(bytes).unwrap() {
        bytes = &bytes[length..];
        frames += 1;
    }
    assert!(frames < 1000, "{frames}");
}

#[test]
fn a_worker_that_is_to_die_with_its_supervisor_dies_with_its_adopter_too() {
    let mut spec = spec("exec sleep 600");
    spec.on_supervisor_loss = OnSupervisorLoss::Kill;
    let mut worker = Worker::start(spec, "task");
    worker.starter().records.until_started();
    let mut connection = worker.connect();
    connection.adopt();
    worker.starter().records.rest();
    drop(connection);
    assert!(worker.wait().success());
    assert_eq!(end_of_gapless(&worker.whole_log()).reason, EndReason::SupervisorLost);
}

#[test]
fn a_worker_can_be_adopted_in_a_directory_whose_path_no_socket_address_can_hold() {
    let mut worker = Worker::start(spec("exec sleep 600"), &"d".repeat(200));
    worker.lose_starter();
    assert!(worker.socket_path().as_os_str().len() > 200);
    let mut connection = worker.connect();
    connection.adopt();
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    connection.records.rest();
    assert!(worker.wait().success());
    assert!(!worker.socket_path().exists());
}

#[test]
fn the_socket_is_its_users_alone() {
    let mut worker = Worker::run("exec sleep 600");
    worker.lose_starter();
    let metadata = std::fs::metadata(worker.socket_path()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let mut connection = worker.connect();
    connection.adopt();
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    connection.records.rest();
}

/// Plays the other user of the next test, in a process of its own.
#[test]
#[ignore = "run by the next test, as another user"]
fn as_another_user() {
    let path = std::env::var("CC_TEST_SOCKET").unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(Path::new(&path)).unwrap();
    // The worker may have hung up before this is written.
    drop(std::io::Write::write_all(&mut stream, &ADOPT.to_line().unwrap()));
    let mut answer = Vec::new();
    // Closed, or reset because the question was not read.
    drop(std::io::Read::read_to_end(&mut stream, &mut answer));
    assert_eq!(answer, b"");
}

#[test]
fn another_user_is_not_served_even_where_the_files_permissions_allow_the_connection() {
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    let mut worker = Worker::run("exec sleep 600");
    worker.lose_starter();
    let open_to_all = std::fs::Permissions::from_mode(0o777);
    for path in [worker.directory().parent().unwrap(), worker.directory(), &worker.socket_path()] {
        std::fs::set_permissions(path, open_to_all.clone()).unwrap();
    }
    // A copy, because the build's directory may be closed to others.
    let program = worker.directory().join("other-user");
    // Made by another process: a child of a test beside this one could still hold it open for writing.
    let own = std::env::current_exe().unwrap();
    let copied = std::process::Command::new("cp").arg(own).arg(&program).status().unwrap();
    assert!(copied.success());
    let status = std::process::Command::new(program)
        .args(["--ignored", "--exact", "adoption::as_another_user"])
        .env("CC_TEST_SOCKET", worker.socket_path())
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut connection = worker.connect();
    connection.adopt();
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    connection.records.rest();
}

#[test]
fn a_task_whose_worker_could_not_be_found_again_is_not_started() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().to_owned();
    std::fs::write(directory.join(cc_link::adopt::SOCKET_NAME), "somebody else's").unwrap();
    let mut worker = Worker::start_in(&mut spec("touch ran"), directory.clone());
    let records = worker.starter().records.rest();
    let end = end_of_gapless(&records);
    assert_eq!(end.reason, EndReason::SpawnFailed);
    assert!(end.error.as_ref().unwrap().contains("adoption socket"), "{:?}", end.error);
    assert_eq!(records, worker.whole_log());
    assert!(!directory.join("ran").exists());
    assert!(worker.socket_path().exists(), "what it did not make it does not remove");
}

#[test]
fn a_spec_of_an_unknown_version_is_refused() {
    for link_version in [0, LINK_VERSION + 1] {
        let mut spec = spec("exec sleep 600");
        spec.link_version = link_version;
        let mut worker = Worker::start(spec, "task");
        assert_eq!(worker.wait().code(), Some(2));
        assert!(!worker.log_path().exists());
    }
}
