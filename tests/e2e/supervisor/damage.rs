//! What a crash can leave on the disk: torn logs, and databases that cannot be used.

use std::{fs, os::unix::fs::FileExt, path::Path};

use cc_tests::{
    Follower, Options, PATIENCE, Supervisor, Transcript, binaries,
    fifo::Fifo,
    requests::{gated, last_seq, pour},
    spoken_output::{check_poured, check_poured_prefix},
};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn a_database_of_a_newer_version_is_refused_with_what_to_do() {
    let mut supervisor = Supervisor::start_default();
    drop(supervisor.connect().run_shell("true"));
    assert!(supervisor.stop().success());
    // The version is a number at a fixed place in the file; what is beside the file would outrank it.
    let path = supervisor.state_directory().join("state.db");
    without_journal(&supervisor);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&4_711_u32.to_be_bytes(), 60).unwrap();
    let error = supervisor.start_in_vain(&Options::new());
    for word in ["4711", path.to_str().unwrap(), "newer"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

/// Removes what the database keeps beside its file.
fn without_journal(supervisor: &Supervisor) {
    for file in ["state.db-wal", "state.db-shm"] {
        drop(fs::remove_file(supervisor.state_directory().join(file)));
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let mut supervisor = Supervisor::start_default();
    assert!(supervisor.stop().success());
    let path = supervisor.state_directory().join("state.db");
    without_journal(&supervisor);
    let content = b"no database at all, but somebody's only copy of something\n".repeat(100);
    fs::write(&path, &content).unwrap();
    let error = supervisor.start_in_vain(&Options::new());
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert_eq!(fs::read(&path).unwrap(), content);
}

/// What is done to a log, and how.
type Damage = (&'static str, fn(&Path));

/// How a log can be found after a crash of the machine.
fn damages() -> Vec<Damage> {
    fn resize(path: &Path, change: i64) {
        let file = fs::File::options().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.checked_add_signed(change).unwrap()).unwrap();
    }
    fn flip(path: &Path, from_end: u64) {
        let mut content = fs::read(path).unwrap();
        let at = content.len() - usize::try_from(from_end).unwrap();
        content[at] ^= 0x10;
        fs::write(path, content).unwrap();
    }
    vec![
        ("one byte is missing", |path| resize(path, -1)),
        ("half of a record is missing", |path| resize(path, -20)),
        ("a bit of the last record is flipped", |path| flip(path, 5)),
        ("zeros follow", |path| resize(path, 4_096)),
    ]
}

#[test]
fn the_torn_log_of_a_dead_worker_is_cut_and_reported_and_harms_no_other() {
    let options = Options::new().flag("--grace", 1);
    let mut supervisor = Supervisor::start(&options);
    let ended = supervisor.connect().run_shell("echo unharmed");
    let mut healthy_stop = Fifo::create();
    let mut healthy = Follower::start_until(&supervisor, &pour(&healthy_stop), "poured");
    let stops: Vec<Fifo> = damages().iter().map(|_| Fifo::create()).collect();
    let mut torn: Vec<Follower> = stops
        .iter()
        .map(|stop| Follower::start_until(&supervisor, &pour(stop), "poured"))
        .collect();
    supervisor.kill();
    healthy.lose();
    for (follower, (_, damage)) in torn.iter_mut().zip(damages()) {
        follower.lose();
        follower.worker().signal(Signal::KILL);
        assert!(follower.worker().wait_gone(PATIENCE));
        damage(&supervisor.task_directory(follower.task_id()).join("log"));
    }
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    for (follower, (what, _)) in torn.into_iter().zip(damages()) {
        let events = client.watch(follower.task_id(), 0);
        let transcript = Transcript::checked(follower.answer.clone(), events);
        assert_eq!(transcript.end().0, "worker_died", "{what}");
        check_poured_prefix(&transcript.stdout());
        let is_reported = supervisor.log().lines().any(|line| {
            line.contains("WARN") && line.contains(follower.task_id()) && line.contains("cut")
        });
        assert!(is_reported, "{what}: {}", supervisor.log());
    }
    assert_eq!(client.watch(ended.task_id(), 0), ended.events);
    healthy.come_back(&supervisor);
    healthy_stop.release();
    check_poured(&healthy.finish(&supervisor).stdout());
}

#[test]
fn what_stood_behind_a_damaged_record_is_kept_beside_the_log_and_said() {
    let options = Options::new().flag("--grace", 1);
    let mut supervisor = Supervisor::start(&options);
    let stop = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    supervisor.kill();
    follower.lose();
    follower.worker().signal(Signal::KILL);
    assert!(follower.worker().wait_gone(PATIENCE));
    let directory = supervisor.task_directory(follower.task_id());
    let mut content = fs::read(directory.join("log")).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    fs::write(directory.join("log"), &content).unwrap();
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    let events = client.watch(follower.task_id(), 0);
    let transcript = Transcript::checked(follower.answer.clone(), events);
    assert_eq!(transcript.end().0, "worker_died");
    check_poured_prefix(&transcript.stdout());
    let damaged = directory.join("log.damaged");
    let kept = fs::read(&damaged).unwrap();
    assert!(content.ends_with(&kept) && kept.len() > middle, "{} bytes are kept", kept.len());
    let path = damaged.to_str().unwrap();
    let task = client.task(follower.task_id()).unwrap();
    assert_eq!(task["damaged_log"], path);
    let line = supervisor.log().lines().find(|line| line.contains("cut off")).unwrap().to_owned();
    assert!(line.contains(path) && line.contains(follower.task_id()), "{line}");
    let id = follower.task_id();
    for typed in [id, &id[..30]] {
        let output =
            binaries::ccx_command(&supervisor.url()).args(["logs", typed]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains(path), "{said}");
    }
}

#[test]
fn the_torn_log_of_an_ended_task_has_one_end_again_and_harms_no_other() {
    let options = Options::new();
    for (what, damage) in damages() {
        let mut supervisor = Supervisor::start(&options);
        let mut gate = Fifo::create();
        let follower = Follower::start_until(&supervisor, &gated(&gate, "echo done"), "ready");
        supervisor.kill();
        gate.release();
        assert!(follower.worker().wait_gone(PATIENCE));
        damage(&supervisor.task_directory(follower.task_id()).join("log"));
        supervisor.start_again(&options);
        let events = supervisor.connect().watch(follower.task_id(), 0);
        let transcript = Transcript::checked(follower.answer, events);
        assert!("ready\ndone\n".starts_with(&transcript.stdout()), "{what}");
    }
}

#[test]
fn a_resume_never_gets_less_than_was_sent_before_a_crash() {
    // What a client has seen is in the log: the log comes first.
    let options = Options::new();
    let mut supervisor = Supervisor::start(&options);
    let mut stop = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    for _ in 0..5 {
        let more: Vec<Value> = (0..500).map(|_| follower.client.recv_json()).collect();
        follower.events.extend(more);
        supervisor.kill();
        follower.lose();
        supervisor.start_again(&options);
        let answer = follower.come_back(&supervisor);
        let known = answer["tasks"][0]["last_seq"].as_u64().unwrap();
        assert!(known >= last_seq(&follower.events), "{answer}");
    }
    stop.release();
    check_poured(&follower.finish(&supervisor).stdout());
}
