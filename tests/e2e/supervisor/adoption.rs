//! A supervisor that is killed, or leaves for an upgrade, costs no task: the next one on the same state directory
//! adopts all of them.

use cc_tests::{
    Follower, Options, PATIENCE, Supervisor,
    binaries::{self, copy_program, misbehave_argv},
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, Process, is_held},
    requests::{assert_spoken, gated, pid, pour},
    spoken_output::check_poured,
    unique_tag, with_both_containments,
};
use rustix::process::Signal;
use serde_json::{Value, json};

with_both_containments!(
    ten_tasks_of_all_kinds_outlive_the_kill_of_their_supervisor,
    ten_tasks_of_all_kinds_outlive_an_upgrade_of_their_supervisor,
    a_task_whose_worker_died_meanwhile_has_ended_as_that_and_its_tree_is_gone,
    a_paused_task_whose_worker_died_meanwhile_leaves_nothing,
    a_worker_that_is_stopped_when_it_should_be_adopted_ends_as_died,
    a_task_that_is_canceled_after_its_adoption_takes_its_whole_tree_with_it,
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

/// That speech, by a task that does not end before the gate is opened, however slow the machine is.
fn speak_and_wait(gate: &Fifo) -> Value {
    let speak = misbehave_argv(&["speak", &SPEECH.0.to_string(), &SPEECH.1.to_string()]).join(" ");
    json!({"command": format!("{speak}; read go < {}", gate.path())})
}

/// Ten tasks, each in the middle of something else.
struct Ten {
    tag: String,
    gate: Fifo,
    pouring: [(Follower, Fifo); 2],
    speaking: Follower,
    silent: Follower,
    paused: Follower,
    canceled: Follower,
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
            canceled: start(&deaf, "deaf"),
            ended_meanwhile: (
                start(&gated(&ending_gate, "echo alone; exit 7"), "ready"),
                ending_gate,
            ),
            died_meanwhile: start(&family(&format!("{tag}-died")), "the sleepers sleep"),
            family: start(&family(&tag), "the sleepers sleep"),
            with_daemon: start(&gated(&gate, &format!("{daemon}; exit 5")), "ready"),
            speaking: Follower::start(supervisor, &speak_and_wait(&gate)),
            tag,
            gate,
        };
        ten.speaking.events.extend((0..200).map(|_| ten.speaking.client.recv_json()));
        ten.canceled.client.control("CANCEL").unwrap();
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
            &mut self.canceled,
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

    /// Every client comes back, every task ends, and no client has missed an event.
    fn finish(mut self, supervisor: &Supervisor) {
        for follower in self.followers() {
            follower.come_back(supervisor);
        }
        assert_eq!(self.paused.client.control("RESUME").unwrap()["status"], "resumed");
        assert_eq!(self.family.client.control("CANCEL").unwrap()["status"], "canceled");
        self.gate.write(b"go\ngo\ngo\ngo\n");
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
        finish(self.canceled, "deaf\n", ("canceled", -9));
        finish(self.ended_meanwhile.0, "ready\nalone\n", ("exit", 7));
        finish(self.with_daemon, "ready\nthe daemon runs\n", ("exit", 5));
        assert_eq!(self.died_meanwhile.finish(supervisor).end().0, "worker_died");
        assert_eq!(self.family.finish(supervisor).end().0, "canceled");
        processes::assert_gone(&self.tag);
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
        copy_program(&binaries::directory().join(name), &directory.path().join(name));
    }
    supervisor.start_again(&options(containment).program(&new));
    ten.finish(&supervisor);
    assert!(supervisor.stop().success());
}

/// Starts a family of processes in sessions of their own.
pub(super) fn family(supervisor: &Supervisor, tag: &str) -> Follower {
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
    // Their keeper does not wait for a supervisor.
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
    // It blocks no other task.
    healthy.come_back(&supervisor);
    healthy.client.control("CANCEL").unwrap();
    assert_eq!(healthy.finish(&supervisor).end().0, "canceled");
    processes::wait_until_gone(&tag);
    follower.come_back(&supervisor);
    assert_eq!(follower.finish(&supervisor).end().0, "worker_died");
}

fn a_task_that_is_canceled_after_its_adoption_takes_its_whole_tree_with_it(
    containment: &Containment,
) {
    let (supervisor, mut follower, tag) = adopted_family(containment);
    follower.client.control("PAUSE").unwrap();
    assert!(is_held(pid(&follower.answer)));
    follower.client.control("RESUME").unwrap();
    assert!(!is_held(pid(&follower.answer)));
    follower.client.control("CANCEL").unwrap();
    assert_eq!(follower.finish(&supervisor).end().0, "canceled");
    processes::assert_gone(&tag);
}

fn an_adopted_task_whose_worker_is_killed_ends_as_that_and_its_tree_is_gone(
    containment: &Containment,
) {
    let (supervisor, follower, tag) = adopted_family(containment);
    follower.worker().signal(Signal::KILL);
    assert_eq!(follower.finish(&supervisor).end().0, "worker_died");
    processes::assert_gone(&tag);
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
    processes::assert_gone(&tag);
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
    // By themselves.
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
    processes::assert_gone(&tag);
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
    processes::assert_gone(&tag);
    let main = Process::open(pid(&json!({"pid": supervisor.pid()}))).unwrap();
    assert!(!main.wait_gone(std::time::Duration::ZERO));
}
