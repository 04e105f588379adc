//! The keeper, by which workers are forked and in which their orphans are found: what a task started is ended, whatever
//! became of its worker and its supervisor.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use cc_tests::{
    Client, Options, PATIENCE, Supervisor,
    binaries::install_worker,
    fifo::Fifo,
    processes::{self, Process},
    requests::{self, gated, task_id},
    unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Starts a task with a child that has cleared its environment and left for a session of its own, and one that has only
/// done the latter.
pub(super) fn family(client: &mut Client, tag: &str) -> Value {
    let sleeper = format!("exec -a {tag} sleep 600");
    let command = format!(
        "env -i setsid bash -c '{sleeper}' < /dev/null > /dev/null 2>&1 & \
         setsid bash -c '{sleeper}' & echo ready; wait"
    );
    let argv = ["bash", "-c", &command];
    let answer = client.execute(&json!({"argv": argv, "detach": true})).unwrap();
    // With the shell that has started them.
    wait_until("both are there", || processes::survivors(tag).len() == 3);
    answer
}

/// Waits for the end as `worker_died`; says how many leftovers it counts, and its text.
pub(super) fn death(client: &mut Client, answer: &Value) -> (u64, String) {
    let end = client.wait_for_end(task_id(answer));
    assert_eq!(end["verdict"], "worker_died", "{end}");
    let events = client.watch(task_id(answer), 0);
    let completed = &events.last().unwrap()["params"];
    assert_eq!(completed["unkillable"], 0, "{completed}");
    let text = completed["error"].as_str().unwrap().to_owned();
    (completed["killed_leftovers"].as_u64().unwrap(), text)
}

#[test]
fn a_process_without_environment_and_session_does_not_outlive_its_worker() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let tag = unique_tag("live");
    let answer = family(&mut client, &tag);
    requests::worker(&answer).signal(Signal::KILL);
    let (killed, text) = death(&mut client, &answer);
    processes::assert_gone(&tag);
    assert!(killed >= 2 && text.contains("SIGKILL"), "{killed} {text}");
}

#[test]
fn nor_does_it_after_another_supervisor_has_found_the_keeper() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let tag = unique_tag("adopted");
    let answer = family(&mut supervisor.connect(), &tag);
    let before = supervisor.keepers();
    supervisor.kill();
    supervisor.start_again(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    // New tasks get a keeper that is this supervisor's.
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let worker = requests::worker(&answer);
    assert_eq!(processes::parent(worker.pid), before.first().copied());
    assert!(!supervisor.keepers().contains(&before[0]));
    worker.signal(Signal::KILL);
    let (killed, text) = death(&mut client, &answer);
    processes::assert_gone(&tag);
    assert!(killed >= 2 && text.contains("SIGKILL"), "{killed} {text}");
    wait_until("the old keeper goes with its last worker", || {
        processes::state(before[0]).is_none_or(|state| state == "Z")
    });
}

#[test]
fn nor_does_it_when_both_die() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let tag = unique_tag("both");
    let answer = family(&mut supervisor.connect(), &tag);
    supervisor.kill();
    requests::worker(&answer).signal(Signal::KILL);
    // Nobody has to start anything for that.
    processes::wait_until_gone(&tag);
    supervisor.start_again(&Options::new().flag("--grace", 1));
    death(&mut supervisor.connect(), &answer);
}

#[test]
fn when_its_keeper_is_killed_a_task_goes_on_and_what_its_worker_leaves_is_looked_for() {
    let mut supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let (mut gate, tag) = (Fifo::create(), unique_tag("orphaned"));
    let running = client.execute(&gated(&gate, "echo done")).unwrap();
    let command = format!("setsid bash -c 'exec -a {tag} sleep 600' & echo ready; wait");
    let params = json!({"argv": ["bash", "-c", command], "detach": true});
    let lost = supervisor.connect().execute(&params).unwrap();
    wait_until("it is there", || !processes::survivors(&tag).is_empty());
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    keeper.signal(Signal::KILL);
    assert!(keeper.wait_gone(PATIENCE));
    let mut other = supervisor.connect();
    // There is another keeper by then, which is not this worker's.
    assert_eq!(other.run_shell("echo well").stdout(), "well\n");
    requests::worker(&lost).signal(Signal::KILL);
    let (killed, text) = death(&mut other, &lost);
    processes::assert_gone(&tag);
    assert!(killed >= 1 && text.contains("keeper"), "{killed} {text}");
    gate.release();
    assert_eq!(client.collect_after(running, Vec::new()).end(), ("exit", 0));
    let answer = family(&mut other, &tag);
    requests::worker(&answer).signal(Signal::KILL);
    let (killed, text) = death(&mut other, &answer);
    assert!(killed >= 2 && !text.contains("keeper"), "the new one has seen to it: {killed} {text}");
    assert!(supervisor.log().contains("keeper of the workers has died"));
    assert!(supervisor.stop().success());
    assert!(sockets(&supervisor).is_empty(), "{:?}", sockets(&supervisor));
}

#[test]
fn when_its_keeper_and_its_worker_are_killed_the_record_of_the_tree_is_used_and_the_end_says_what_is_not_proven()
 {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1).flag("--cgroup", "off"));
    let mut client = supervisor.connect();
    let tag = unique_tag("record");
    let answer = family(&mut client, &tag);
    let record = supervisor.task_directory(task_id(&answer)).join("tree");
    let is_recorded = |pid: &i32| {
        let text = fs::read_to_string(&record).unwrap_or_default();
        text.lines().any(|line| line.starts_with(&format!("{pid} ")))
    };
    wait_until("all are recorded", || processes::survivors(&tag).iter().all(is_recorded));
    Process::open(supervisor.keepers()[0]).unwrap().signal(Signal::KILL);
    requests::worker(&answer).signal(Signal::KILL);
    let (killed, text) = death(&mut client, &answer);
    processes::assert_gone(&tag);
    assert!(killed >= 2 && text.contains("keeper"), "{killed} {text}");
    let events = client.watch(task_id(&answer), 0);
    let warnings = &events.last().unwrap()["params"]["warnings"];
    assert_eq!(warnings[0]["kind"], "leftovers_unproven", "{warnings}");
    assert!(!record.exists());
}

/// What there is in the directory of the keepers.
fn sockets(supervisor: &Supervisor) -> Vec<PathBuf> {
    let entries = fs::read_dir(supervisor.state_directory().join("keepers")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_replaced_program_has_a_keeper_of_its_own_and_the_old_one_goes_with_its_last_worker() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("cc-worker");
    install_worker(&program);
    let options = Options::new().flag("--worker", program.display());
    let supervisor = Supervisor::start(&options);
    let (mut client, mut gate) = (supervisor.connect(), Fifo::create());
    let running = client.execute(&gated(&gate, "echo done")).unwrap();
    let old = Process::open(supervisor.keepers()[0]).unwrap();
    install_worker(&program);
    assert_eq!(supervisor.connect().run_shell("echo new").stdout(), "new\n");
    assert_eq!(supervisor.keepers().len(), 2);
    gate.release();
    assert_eq!(client.collect_after(running, Vec::new()).end(), ("exit", 0));
    assert!(old.wait_gone(PATIENCE), "it goes with its last worker");
    wait_until("its socket goes too", || sockets(&supervisor).len() == 1);
}

#[test]
fn a_stopped_keeper_goes_on_and_a_stop_leaves_none() {
    let mut supervisor = Supervisor::start_default();
    assert_eq!(supervisor.connect().run_shell("echo well").stdout(), "well\n");
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    keeper.signal(Signal::STOP);
    assert!(supervisor.stop().success());
    assert!(processes::state(keeper.pid).is_none());
    assert!(sockets(&supervisor).is_empty());
}

#[test]
fn a_keeper_takes_no_polite_signal_and_no_words_that_it_does_not_know() {
    use std::{io::Write as _, os::unix::net::UnixStream};
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo well").stdout(), "well\n");
    let keeper = Process::open(supervisor.keepers()[0]).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        keeper.signal(signal);
    }
    for words in [&b"{\"pour\":1}\n"[..], &[b'x'; 100_000]] {
        let mut caller = UnixStream::connect(&sockets(&supervisor)[0]).unwrap();
        // It may hang up before it has read all of it.
        drop(caller.write_all(words));
        let mut answer = String::new();
        drop(BufReader::new(caller).read_line(&mut answer));
        assert_eq!(answer, "");
    }
    // More than it listens to at a time, who say nothing.
    let silent: Vec<UnixStream> =
        (0..60).map(|_| UnixStream::connect(&sockets(&supervisor)[0]).unwrap()).collect();
    let tag = unique_tag("asked");
    let answer = family(&mut client, &tag);
    requests::worker(&answer).signal(Signal::KILL);
    death(&mut client, &answer);
    processes::assert_gone(&tag);
    drop(silent);
    assert_eq!(supervisor.keepers(), [keeper.pid]);
}
