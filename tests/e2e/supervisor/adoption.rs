//! A supervisor that is gone costs no task: the next one on the same state directory goes on with all
//! of them, whether it was killed, or left for an upgrade.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{fs, os::unix::fs::FileExt, path::Path};

use cc_tests::{
    Follower, Options, PATIENCE, Supervisor, Transcript,
    binaries::misbehave_argv,
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, Process, is_held},
    requests::{assert_spoken, gated, last_seq, pid, pour, speak, task_id},
    spoken_output::{check_poured, check_poured_prefix},
    task_log::TaskLog,
    unique_tag, wait_until, with_both_containments,
};
use rustix::process::Signal;
use serde_json::{Value, json};

with_both_containments!(
    ten_tasks_of_all_kinds_outlive_the_kill_of_their_supervisor,
    ten_tasks_of_all_kinds_outlive_an_upgrade_of_their_supervisor,
    a_task_whose_worker_died_meanwhile_has_ended_as_that_and_its_tree_is_gone,
    a_paused_task_whose_worker_died_meanwhile_leaves_nothing,
    a_worker_that_is_stopped_when_it_should_be_adopted_ends_as_died,
    a_task_that_is_cancelled_after_its_adoption_takes_its_whole_tree_with_it,
    an_adopted_task_whose_worker_is_killed_ends_as_that_and_its_tree_is_gone,
    two_restarts_in_a_row_lose_nothing,
    a_supervisor_that_may_not_keep_tasks_takes_them_with_it_when_it_is_killed,
    a_stop_ends_adopted_tasks_too,
);

fn options(containment: &Containment) -> Options {
    containment.options().flag("--grace", 1)
}

/// Seed and size of the speech that is under way when the supervisor goes.
const SPEECH: (u64, usize) = (21, 6_000_000);

/// Ten tasks, each in the middle of something else.
struct Ten {
    tag: String,
    gate: Fifo,
    pouring: [(Follower, Fifo); 2],
    speaking: Follower,
    silent: Follower,
    paused: Follower,
    cancelled: Follower,
    ended_meanwhile: (Follower, Fifo),
    died_meanwhile: Follower,
    family: Follower,
    with_daemon: Follower,
}

impl Ten {
    fn start(supervisor: &Supervisor) -> Self {
        let tag = unique_tag("ten");
        let (gate, ending_gate) = (Fifo::create(), Fifo::create());
        let start = |params: &Value, text: &str| Follower::start_until(supervisor, params, text);
        let family =
            |tag: &str| json!({"argv": misbehave_argv(&["setsid-sleepers", "3", "stay", tag])});
        let daemon = misbehave_argv(&["daemon", "holding", &tag]).join(" ");
        let pouring = [(); 2].map(|()| {
            let stop = Fifo::create();
            (start(&pour(&stop), "poured"), stop)
        });
        let mut paused = start(&gated(&gate, "echo paused no more"), "ready");
        paused.client.control("PAUSE").unwrap();
        paused.events.extend(paused.client.recv_until_method("process.paused"));
        let deaf = json!({"argv": misbehave_argv(&["ignore-term", &tag])});
        let mut ten = Self {
            pouring,
            silent: start(&gated(&gate, "echo silent no more"), "ready"),
            paused,
            cancelled: start(&deaf, "deaf"),
            ended_meanwhile: (
                start(&gated(&ending_gate, "echo alone; exit 7"), "ready"),
                ending_gate,
            ),
            died_meanwhile: start(&family(&format!("{tag}-died")), "the sleepers sleep"),
            family: start(&family(&tag), "the sleepers sleep"),
            with_daemon: start(&gated(&gate, &format!("{daemon}; exit 5")), "ready"),
            speaking: Follower::start(supervisor, &speak(SPEECH.0, SPEECH.1)),
            tag,
            gate,
        };
        ten.speaking.events.extend((0..200).map(|_| ten.speaking.client.recv_json()));
        ten.cancelled.client.control("CANCEL").unwrap();
        ten
    }

    fn followers(&mut self) -> Vec<&mut Follower> {
        let [first, second] = &mut self.pouring;
        vec![
            &mut first.0,
            &mut second.0,
            &mut self.speaking,
            &mut self.silent,
            &mut self.paused,
            &mut self.cancelled,
            &mut self.ended_meanwhile.0,
            &mut self.died_meanwhile,
            &mut self.family,
            &mut self.with_daemon,
        ]
    }

    /// What happens to them while there is no supervisor.
    fn without_supervisor(&mut self) {
        self.followers().into_iter().for_each(Follower::lose);
        let (ended, gate) = &mut self.ended_meanwhile;
        gate.release();
        assert!(ended.worker().wait_gone(PATIENCE), "a worker exits when its task has ended");
        self.died_meanwhile.worker().signal(Signal::KILL);
        assert!(self.died_meanwhile.worker().wait_gone(PATIENCE));
    }

    /// Every client comes back, every task ends, and nobody has missed anything.
    fn finish(mut self, supervisor: &Supervisor) {
        for follower in self.followers() {
            follower.come_back(supervisor);
        }
        assert_eq!(self.paused.client.control("RESUME").unwrap()["status"], "resumed");
        assert_eq!(self.family.client.control("CANCEL").unwrap()["status"], "canceled");
        self.gate.write(b"go\ngo\ngo\n");
        self.pouring.iter_mut().for_each(|(_, stop)| stop.release());
        for (follower, _stop) in self.pouring {
            let transcript = follower.finish(supervisor);
            assert_eq!(transcript.end(), ("exit", 0));
            check_poured(&transcript.stdout());
        }
        assert_spoken(&self.speaking.finish(supervisor), SPEECH.0, SPEECH.1);
        let finish = |follower: Follower, stdout: &str, end: (&str, i64)| {
            let transcript = follower.finish(supervisor);
            assert_eq!((transcript.stdout().as_str(), transcript.end()), (stdout, end));
        };
        finish(self.silent, "ready\nsilent no more\n", ("exit", 0));
        finish(self.paused, "ready\npaused no more\n", ("exit", 0));
        finish(self.cancelled, "deaf\n", ("canceled", -9));
        finish(self.ended_meanwhile.0, "ready\nalone\n", ("exit", 7));
        finish(self.with_daemon, "ready\nthe daemon runs\n", ("exit", 5));
        assert_eq!(self.died_meanwhile.finish(supervisor).end().0, "worker_died");
        assert_eq!(self.family.finish(supervisor).end().0, "canceled");
        let left = processes::survivors(&self.tag);
        assert!(left.is_empty(), "left behind: {}", processes::describe(&left));
    }
}

fn ten_tasks_of_all_kinds_outlive_the_kill_of_their_supervisor(containment: &Containment) {
    let mut supervisor = Supervisor::start(&options(containment));
    let mut ten = Ten::start(&supervisor);
    supervisor.kill();
    ten.without_supervisor();
    supervisor.start_again(&options(containment));
    ten.finish(&supervisor);
    // And it runs new ones.
    assert_eq!(supervisor.connect().run_shell("echo new").stdout(), "new\n");
}

fn ten_tasks_of_all_kinds_outlive_an_upgrade_of_their_supervisor(containment: &Containment) {
    let mut supervisor = Supervisor::start(&options(containment));
    let mut ten = Ten::start(&supervisor);
    supervisor.leave();
    ten.without_supervisor();
    // The new one is another file, as after a replacement of the binary.
    let directory = tempfile::tempdir().unwrap();
    let new = directory.path().join("cc-supervisor");
    for name in ["cc-supervisor", "cc-worker"] {
        let old = cc_tests::binaries::directory().join(name);
        fs::copy(old, directory.path().join(name)).unwrap();
    }
    supervisor.start_again(&options(containment).program(&new));
    ten.finish(&supervisor);
    assert!(supervisor.stop().success());
}

/// Starts a family of processes in sessions of their own.
fn family(supervisor: &Supervisor, tag: &str) -> Follower {
    let params = json!({"argv": misbehave_argv(&["setsid-sleepers", "5", "stay", tag])});
    Follower::start_until(supervisor, &params, "the sleepers sleep")
}

/// The same, adopted by a second supervisor; with its tag.
fn adopted_family(containment: &Containment) -> (Supervisor, Follower, String) {
    let mut supervisor = Supervisor::start(&options(containment));
    let tag = unique_tag("adopted");
    let mut follower = family(&supervisor, &tag);
    supervisor.kill();
    follower.lose();
    supervisor.start_again(&options(containment));
    let resumed = follower.come_back(&supervisor);
    assert_eq!(resumed["tasks"][0]["state"], "running");
    (supervisor, follower, tag)
}

fn assert_gone(tag: &str) {
    let left = processes::survivors(tag);
    assert!(left.is_empty(), "left behind: {}", processes::describe(&left));
}

fn a_task_whose_worker_died_meanwhile_has_ended_as_that_and_its_tree_is_gone(
    containment: &Containment,
) {
    let mut supervisor = Supervisor::start(&options(containment));
    let tag = unique_tag("died");
    // Nobody comes back for the second one.
    let (mut follower, second) = (family(&supervisor, &tag), family(&supervisor, &tag));
    supervisor.kill();
    follower.lose();
    for worker in [follower.worker(), second.worker()] {
        worker.signal(Signal::KILL);
        assert!(worker.wait_gone(PATIENCE));
    }
    // Their keeper does not wait for anybody.
    processes::wait_until_gone(&tag);
    supervisor.start_again(&options(containment));
    follower.come_back(&supervisor);
    let transcript = follower.finish(&supervisor);
    assert_eq!(transcript.end().0, "worker_died");
    assert!(transcript.completed()["error"].is_string());
    let task = supervisor.connect().wait_for_end(second.task_id());
    assert_eq!(task["reason"], "worker_died");
}

fn a_paused_task_whose_worker_died_meanwhile_leaves_nothing(containment: &Containment) {
    let mut supervisor = Supervisor::start(&options(containment));
    let tag = unique_tag("paused");
    let mut follower = family(&supervisor, &tag);
    follower.client.control("PAUSE").unwrap();
    follower.events.extend(follower.client.recv_until_method("process.paused"));
    assert!(is_held(pid(&follower.answer)));
    supervisor.kill();
    follower.lose();
    follower.worker().signal(Signal::KILL);
    assert!(follower.worker().wait_gone(PATIENCE));
    supervisor.start_again(&options(containment));
    processes::wait_until_gone(&tag);
    follower.come_back(&supervisor);
    assert_eq!(follower.finish(&supervisor).end().0, "worker_died");
}

fn a_worker_that_is_stopped_when_it_should_be_adopted_ends_as_died(containment: &Containment) {
    let mut supervisor = Supervisor::start(&options(containment));
    let tag = unique_tag("stopped");
    let mut follower = family(&supervisor, &tag);
    let mut healthy = Follower::start_until(
        &supervisor,
        &json!({"command": "echo ready; exec sleep 100"}),
        "ready",
    );
    supervisor.kill();
    follower.lose();
    healthy.lose();
    follower.worker().signal(Signal::STOP);
    supervisor.start_again(&options(containment));
    // It is in nobody's way.
    healthy.come_back(&supervisor);
    healthy.client.control("CANCEL").unwrap();
    assert_eq!(healthy.finish(&supervisor).end().0, "canceled");
    processes::wait_until_gone(&tag);
    follower.come_back(&supervisor);
    assert_eq!(follower.finish(&supervisor).end().0, "worker_died");
}

fn a_task_that_is_cancelled_after_its_adoption_takes_its_whole_tree_with_it(
    containment: &Containment,
) {
    let (supervisor, mut follower, tag) = adopted_family(containment);
    follower.client.control("PAUSE").unwrap();
    assert!(is_held(pid(&follower.answer)));
    follower.client.control("RESUME").unwrap();
    assert!(!is_held(pid(&follower.answer)));
    follower.client.control("CANCEL").unwrap();
    assert_eq!(follower.finish(&supervisor).end().0, "canceled");
    assert_gone(&tag);
}

fn an_adopted_task_whose_worker_is_killed_ends_as_that_and_its_tree_is_gone(
    containment: &Containment,
) {
    let (supervisor, follower, tag) = adopted_family(containment);
    follower.worker().signal(Signal::KILL);
    assert_eq!(follower.finish(&supervisor).end().0, "worker_died");
    assert_gone(&tag);
}

fn two_restarts_in_a_row_lose_nothing(containment: &Containment) {
    let mut supervisor = Supervisor::start(&options(containment));
    let mut stop = Fifo::create();
    let mut pouring = Follower::start_until(&supervisor, &pour(&stop), "poured");
    let tag = unique_tag("twice");
    let mut family = family(&supervisor, &tag);
    for round in 0..2 {
        if round == 0 {
            supervisor.kill()
        } else {
            supervisor.leave()
        }
        pouring.lose();
        family.lose();
        supervisor.start_again(&options(containment));
        // Between the restarts only one of them comes back.
        pouring.come_back(&supervisor);
        let more: Vec<Value> = (0..100).map(|_| pouring.client.recv_json()).collect();
        pouring.events.extend(more);
        if round == 1 {
            family.come_back(&supervisor);
        }
    }
    stop.release();
    let transcript = pouring.finish(&supervisor);
    check_poured(&transcript.stdout());
    family.client.control("CANCEL").unwrap();
    assert_eq!(family.finish(&supervisor).end().0, "canceled");
    assert_gone(&tag);
}

fn a_supervisor_that_may_not_keep_tasks_takes_them_with_it_when_it_is_killed(
    containment: &Containment,
) {
    let options = options(containment).flag("--on-supervisor-loss", "kill");
    let mut supervisor = Supervisor::start(&options);
    let tag = unique_tag("lost");
    let mut running = family(&supervisor, &tag);
    let mut paused = family(&supervisor, &tag);
    paused.client.control("PAUSE").unwrap();
    supervisor.kill();
    // Without anybody's help.
    processes::wait_until_gone(&tag);
    for follower in [&mut running, &mut paused] {
        assert!(follower.worker().wait_gone(PATIENCE));
        follower.lose();
    }
    // The next one can tell what became of them, and removes what they left of their cgroups.
    supervisor.start_again(&options);
    for mut follower in [running, paused] {
        follower.come_back(&supervisor);
        assert_eq!(follower.finish(&supervisor).end().0, "supervisor_lost");
    }
}

fn a_stop_ends_adopted_tasks_too(containment: &Containment) {
    let mut supervisor = Supervisor::start(&options(containment));
    let tag = unique_tag("stop");
    let mut follower = family(&supervisor, &tag);
    supervisor.kill();
    follower.lose();
    supervisor.start_again(&options(containment));
    follower.come_back(&supervisor);
    supervisor.signal(Signal::TERM);
    let (code, _reason, events) = follower.client.recv_close();
    assert_eq!(code, 1001);
    assert_eq!(events.last().unwrap()["params"]["reason"], "supervisor_lost");
    // `wait` also fails if anything is left.
    assert!(supervisor.wait().success());
    assert_gone(&tag);
}

/// A supervisor with one client whose task waits for the gate.
fn with_a_gated_task(options: &Options) -> (Supervisor, Follower, Fifo) {
    let supervisor = Supervisor::start(options);
    let gate = Fifo::create();
    let follower = Follower::start_until(&supervisor, &gated(&gate, "echo done"), "ready");
    (supervisor, follower, gate)
}

/// Lets the gated task of a supervisor that has left its task go on without one, and comes back.
fn finish_after_restart(
    mut supervisor: Supervisor,
    mut follower: Follower,
    mut gate: Fifo,
    options: &Options,
) {
    assert!(processes::state(follower.worker().pid).is_some(), "the worker runs on");
    supervisor.start_again(options);
    follower.come_back(&supervisor);
    gate.release();
    let transcript = follower.finish(&supervisor);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
}

#[test]
fn clients_are_told_with_1012_to_come_back_after_an_upgrade() {
    let options = Options::new();
    let (mut supervisor, mut follower, gate) = with_a_gated_task(&options);
    let mut idle = supervisor.connect();
    supervisor.leave();
    for client in [&mut follower.client, &mut idle] {
        let (code, reason, earlier) = client.recv_close();
        assert_eq!((code, earlier), (1012, Vec::new()), "{reason}");
        assert!(reason.contains("resume"), "what to do: {reason}");
    }
    finish_after_restart(supervisor, follower, gate, &options);
}

#[test]
fn a_stop_keeps_the_tasks_where_that_is_asked_for() {
    for signal in [Signal::TERM, Signal::HUP] {
        let options = Options::new().flag("--on-stop", "keep-tasks");
        let (mut supervisor, mut follower, gate) = with_a_gated_task(&options);
        supervisor.signal(signal);
        assert_eq!(follower.client.recv_close().0, 1012);
        assert!(supervisor.wait_for_exit().success());
        finish_after_restart(supervisor, follower, gate, &options);
    }
}

#[test]
fn every_other_stop_ends_the_tasks() {
    let keep = Options::new().flag("--on-stop", "keep-tasks");
    for (options, signal) in [
        (Options::new(), Signal::TERM),
        (Options::new(), Signal::HUP),
        (Options::new(), Signal::INT),
        // Somebody at a terminal wants the end.
        (keep.clone(), Signal::INT),
        // What may not outlive its supervisor is not kept, whatever the supervisor is told.
        (keep.clone().flag("--on-supervisor-loss", "kill"), Signal::TERM),
        (Options::new().flag("--on-supervisor-loss", "kill"), Signal::USR1),
    ] {
        let mut supervisor = Supervisor::start(&options.flag("--grace", 1));
        let tag = unique_tag("stop");
        let follower = family(&supervisor, &tag);
        supervisor.signal(signal);
        // `wait` also fails if anything is left.
        assert!(supervisor.wait().success(), "{signal:?}: {}", supervisor.log());
        assert_gone(&tag);
        let path = supervisor.task_directory(follower.task_id()).join("log");
        assert_eq!(TaskLog::read(&path).completed().reason.as_str(), "supervisor_lost");
    }
}

#[test]
fn an_idle_supervisor_that_leaves_and_comes_back_knows_its_sessions() {
    let mut supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let transcript = client.run_shell("echo before");
    supervisor.leave();
    supervisor.start_again(&Options::new());
    let mut client = supervisor.connect();
    client.resume(&session, Some((transcript.task_id(), 0))).unwrap();
    let again: Vec<Value> = transcript.events.iter().map(|_| client.recv_json()).collect();
    assert_eq!(again, transcript.events);
    assert_eq!(client.run_shell("echo after").stdout(), "after\n");
}

#[test]
fn the_grace_of_a_session_goes_on_over_a_restart() {
    let options = Options::new().flag("--resume-grace", 1).flag("--grace", 1);
    let (mut supervisor, follower, _gate) = with_a_gated_task(&options);
    supervisor.kill();
    supervisor.start_again(&options);
    // Nobody comes back.
    let ended = supervisor.connect().wait_for_end(follower.task_id());
    assert_eq!(ended["reason"], "disconnected", "{ended}");
    let error = supervisor.connect().resume(&follower.session, None).unwrap_err();
    assert_eq!(error["code"], -32011, "{error}");
}

#[test]
fn a_task_that_ended_while_there_was_no_supervisor_is_known_without_its_client() {
    let options = Options::new();
    let (mut supervisor, follower, mut gate) = with_a_gated_task(&options);
    supervisor.kill();
    gate.release();
    assert!(follower.worker().wait_gone(PATIENCE));
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    let task = client.task(follower.task_id()).unwrap();
    assert_eq!((&task["state"], &task["exit_code"]), (&json!("ended"), &json!(0)), "{task}");
    let ended = client.call("task.list", &json!({"state": "ended"})).unwrap();
    assert_eq!(task_id(&ended["tasks"][0]), follower.task_id());
    let events = client.watch(follower.task_id(), 0);
    let transcript = Transcript::checked(follower.answer, events);
    assert_eq!(transcript.stdout(), "ready\ndone\n");
}

#[test]
fn tasks_are_adopted_also_when_the_database_is_gone() {
    let options = Options::new();
    let (mut supervisor, follower, mut gate) = with_a_gated_task(&options);
    let ended = supervisor.connect().run_shell("echo ended");
    supervisor.kill();
    for entry in fs::read_dir(supervisor.state_directory()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("state.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    gate.release();
    let events = client.watch(follower.task_id(), 0);
    let transcript = Transcript::checked(follower.answer, events);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
    assert_eq!(client.watch(ended.task_id(), 0), ended.events);
    assert_eq!(client.resume(&follower.session, None).unwrap_err()["code"], -32010);
}

#[test]
fn a_worker_that_speaks_another_language_is_left_to_its_end() {
    let options = Options::new();
    let (mut supervisor, mut follower, mut gate) = with_a_gated_task(&options);
    supervisor.kill();
    follower.lose();
    // Plays the worker of another version, whose task the real worker goes on with.
    let mut stop = Fifo::create();
    let socket = supervisor.task_directory(follower.task_id()).join("worker.sock");
    let mut foreign = std::process::Command::new(cc_tests::binaries::misbehave())
        .args(["foreign-worker", socket.to_str().unwrap(), stop.path()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_a_line(foreign.stdout.as_mut().unwrap());
    supervisor.start_again(&options);
    wait_until("it says what it cannot do", || supervisor.log().contains("version"));
    // It is in nobody's way.
    assert_eq!(supervisor.connect().run_shell("echo new").stdout(), "new\n");
    let task = supervisor.connect().task(follower.task_id()).unwrap();
    assert_ne!(task["state"], "ended", "{task}");
    gate.release();
    assert!(follower.worker().wait_gone(PATIENCE));
    stop.release();
    foreign.wait().unwrap();
    follower.come_back(&supervisor);
    let transcript = follower.finish(&supervisor);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
}

fn wait_for_a_line(from: &mut impl std::io::Read) {
    use std::io::BufRead as _;
    let mut line = String::new();
    std::io::BufReader::new(from).read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "a whole line: {line:?}");
}

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

#[test]
fn a_port_that_is_taken_is_named_with_the_option_that_gives_another() {
    let mut supervisor = Supervisor::start_default();
    let first = Supervisor::start_default();
    assert!(supervisor.stop().success());
    let options = Options::new().flag("--listen", first.address());
    let error = supervisor.start_in_vain(&options);
    assert!(error.contains("--listen") && error.contains(&first.address().to_string()), "{error}");
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

#[test]
fn the_environment_of_a_killed_supervisor_is_swept_of_what_it_inherited() {
    // Workers that are adopted are not the new supervisor's children: their orphans go to init or to
    // another reaper, and are found all the same.
    let options = Options::new().flag("--grace", 1);
    let mut supervisor = Supervisor::start(&options);
    let tag = unique_tag("orphans");
    let daemon = misbehave_argv(&["daemon", "closing", &tag]).join(" ");
    let command = json!({"command": format!("{daemon}; exec sleep 100")});
    let mut follower = Follower::start_until(&supervisor, &command, "the daemon runs");
    supervisor.kill();
    follower.lose();
    supervisor.start_again(&options);
    follower.come_back(&supervisor);
    follower.worker().signal(Signal::KILL);
    assert_eq!(follower.finish(&supervisor).end().0, "worker_died");
    assert_gone(&tag);
    let main = Process::open(pid(&json!({"pid": supervisor.pid()}))).unwrap();
    assert!(!main.wait_gone(std::time::Duration::ZERO));
}
