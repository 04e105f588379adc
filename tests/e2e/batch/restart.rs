//! A batch goes on where it stood, whatever becomes of its supervisor, its workers and its client:
//! nothing is started twice, nothing is left out, nothing is left behind.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use cc_tests::{
    Options, PATIENCE, Supervisor,
    batches::{
        Notes, Over, attach, attempts, classes, contained, get, options, plan, plan_with,
        progress_until, submit, with,
    },
    binaries,
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, Process},
    random::Random,
    with_both_containments,
};
use rustix::process::Signal;
use serde_json::{Value, json};

with_both_containments!(
    fifty_tasks_outlive_the_kills_of_their_supervisor,
    a_task_whose_worker_dies_with_the_supervisor_stops_the_batch,
);

const TASKS: usize = 50;

fn fifty(notes: &Notes, random: &mut Random) -> Vec<Value> {
    (0..TASKS)
        .map(|number| {
            let name = format!("t{number}");
            match random.below(5) {
                0 => notes.prompt(&name, ["say: 4"]),
                1 => notes.prompt(&name, ["leave a family: 4"]),
                2 => notes.shell(&name, "true"),
                3 => notes.shell(&name, "setsid sleep 100 & seq 2000"),
                _ => notes.shell(&name, "sleep 0.05"),
            }
        })
        .collect()
}

/// What ends a supervisor.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Upgrade,
}

/// Fifty tasks, and a supervisor that ends several times at moments that the seed decides.
fn run(containment: &Containment, seed: u64, end: End) {
    let mut random = Random::new(seed);
    let options = contained(containment);
    let mut supervisor = Supervisor::start(&options);
    let notes = Notes::new(&supervisor);
    let tasks = fifty(&notes, &mut random);
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    drop(client);
    let mut starts = 0;
    for _ in 0..3 {
        starts += 1 + random.below(15);
        notes.ledger.wait_for_starts(usize::try_from(starts).unwrap());
        match end {
            End::Kill => {
                supervisor.kill();
                // Sometimes also in the middle of the next one's start, where it adopts and goes on.
                for _ in 0..random.below(3) {
                    supervisor
                        .start_and_kill_after(&options, Duration::from_millis(random.below(80)));
                }
            }
            End::Upgrade => supervisor.leave(),
        }
        supervisor.start_again(&options);
    }
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    over.assert_all_succeeded_at_once();
    notes.ledger.assert_sequence((0..TASKS).map(|number| format!("t{number}")));
    assert!(supervisor.stop().success());
}

fn run_all(containment: &Containment, seeds: impl IntoIterator<Item = u64>, end: End) {
    for seed in seeds {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| run(containment, seed, end))) {
            eprintln!("seed {seed} failed: see above");
            std::panic::resume_unwind(cause);
        }
    }
}

fn fifty_tasks_outlive_the_kills_of_their_supervisor(containment: &Containment) {
    run_all(containment, [1, 2], End::Kill);
}

#[test]
fn fifty_tasks_outlive_upgrades() {
    run_all(&Containment::Subreaper, [3], End::Upgrade);
}

#[test]
#[ignore = "takes minutes: see .ci/run"]
fn fifty_tasks_outlive_kills_at_many_moments() {
    run_all(&Containment::Subreaper, 1..=25, End::Kill);
}

/// A batch in the middle of its second task, which then loses supervisor and worker.
struct LostInTheMiddle {
    supervisor: Supervisor,
    options: Options,
    notes: Notes,
    gate: Fifo,
    batch_id: String,
}

impl LostInTheMiddle {
    fn start(containment: &Containment, on_lost: Value) -> Self {
        let options = contained(containment);
        let mut supervisor = Supervisor::start(&options);
        let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
        let lost = format!("setsid sleep 100 & read go < {}", gate.path());
        let tasks = [
            notes.prompt("before", ["say: 4"]),
            notes.shell("lost", &lost),
            notes.prompt("after", ["say: 4"]),
        ];
        let mut options_of_plan = json!({});
        if !on_lost.is_null() {
            options_of_plan["on_lost"] = on_lost;
        }
        let batch_id = submit(&mut supervisor.connect(), &plan_with(options_of_plan, tasks));
        notes.ledger.wait_for_starts(2);
        supervisor.kill();
        let workers: Vec<Process> =
            supervisor.workers_anywhere().into_iter().filter_map(Process::open).collect();
        assert_eq!(workers.len(), 1);
        workers[0].signal(Signal::KILL);
        assert!(workers[0].wait_gone(PATIENCE));
        supervisor.start_again(&options);
        Self { supervisor, options, notes, gate, batch_id }
    }

    fn over(&self) -> Over {
        Over::of(&mut self.supervisor.connect(), &self.batch_id)
    }
}

fn a_task_whose_worker_dies_with_the_supervisor_stops_the_batch(containment: &Containment) {
    let mut lost = LostInTheMiddle::start(containment, Value::Null);
    let over = lost.over();
    assert_eq!(over.verdicts(), ["succeeded", "worker_died", "skipped"]);
    assert_eq!(over.outcome(), "stopped");
    assert!(over.reason().contains("may have had effects"), "{}", over.reason());
    assert_eq!(lost.notes.ledger.starts(), ["before", "lost"]);
    // It stays so.
    lost.supervisor.kill();
    lost.supervisor.start_again(&lost.options);
    let again = lost.over();
    assert_eq!((again.batch, again.rows), (over.batch, over.rows));
}

#[test]
fn a_task_whose_worker_dies_is_left_behind_where_the_batch_says_continue() {
    let lost = LostInTheMiddle::start(&Containment::Subreaper, json!("continue"));
    let over = lost.over();
    assert_eq!(over.verdicts(), ["succeeded", "worker_died", "succeeded"]);
    assert_eq!(over.outcome(), "failed");
    lost.notes.ledger.assert_sequence(["before", "lost", "after"]);
}

#[test]
fn a_task_whose_worker_dies_is_started_again_where_the_batch_says_retry() {
    let mut lost = LostInTheMiddle::start(&Containment::Subreaper, json!("retry"));
    lost.notes.ledger.wait_for_starts(3);
    lost.gate.release();
    let over = lost.over();
    assert_eq!(over.verdicts(), ["succeeded"; 3]);
    let row = over.row("lost");
    assert_eq!(attempts(row).len(), 2, "{row}");
    assert_eq!(row["attempts"][0]["verdict"], "worker_died");
    lost.notes.ledger.assert_sequence(["before", "lost", "lost", "after"]);
}

/// A batch whose first task has a worker that is slow to start: the supervisor dies meanwhile.
struct SlowStart {
    supervisor: Supervisor,
    options: Options,
    notes: Notes,
    /// Lets the worker go on, which comes too late for its task.
    gate: Fifo,
    late: Process,
    batch_id: String,
    _directory: tempfile::TempDir,
}

impl SlowStart {
    fn begin() -> Self {
        let options = options();
        let (mut ready, gate) = (Fifo::create(), Fifo::create());
        let directory = tempfile::tempdir().unwrap();
        let slow = directory.path().join("slow-worker");
        let worker = binaries::directory().join("cc-worker");
        let lines = format!(
            "#!/bin/sh\necho ready > {}\nread go < {}\nexec {} \"$@\"\n",
            ready.path(),
            gate.path(),
            worker.display()
        );
        binaries::install_script(&slow, &lines);
        let slow_start = options.clone().flag("--worker", slow.display());
        let mut supervisor = Supervisor::start(&slow_start);
        let notes = Notes::new(&supervisor);
        let tasks = [notes.shell("first", "true"), notes.prompt("second", ["say: 4"])];
        let batch_id = submit(&mut supervisor.connect(), &plan(tasks));
        ready.read();
        let children = processes::children(supervisor.pid());
        let late = children.into_iter().find_map(Process::open).unwrap();
        supervisor.kill();
        Self { supervisor, options, notes, gate, late, batch_id, _directory: directory }
    }

    fn assert_goes_on_and_begins_each_once(mut self) {
        self.supervisor.start_again(&self.options);
        let over = Over::of(&mut self.supervisor.connect(), &self.batch_id);
        over.assert_all_succeeded_at_once();
        self.gate.release();
        assert!(self.late.wait_gone(PATIENCE), "who comes too late exits");
        assert!(self.supervisor.stop().success());
        self.notes.ledger.assert_sequence(["first", "second"]);
    }
}

#[test]
fn a_task_that_for_certain_never_began_is_begun_by_the_next_supervisor_and_only_once() {
    SlowStart::begin().assert_goes_on_and_begins_each_once();
}

#[test]
fn so_it_is_where_the_next_supervisor_was_killed_before_it_had_written_that_down() {
    let slow = SlowStart::begin();
    let tasks = fs::read_dir(slow.supervisor.state_directory().join("tasks")).unwrap();
    let directories: Vec<_> = tasks.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(directories.len(), 1, "{directories:?}");
    // What it had done by then: it has made the log in the worker's place, by two names.
    let (own, log) = (directories[0].join("never-began"), directories[0].join("log"));
    fs::write(&own, cc_link::record::LOG_MAGIC).unwrap();
    fs::hard_link(&own, &log).unwrap();
    slow.assert_goes_on_and_begins_each_once();
}

#[test]
fn a_worker_that_dies_alone_stops_the_batch_too() {
    let supervisor = Supervisor::start(&options());
    let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
    let tasks = [
        notes.shell("lost", &format!("read go < {}", gate.path())),
        notes.prompt("after", ["say: 4"]),
    ];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    notes.ledger.wait_for_starts(1);
    let workers = supervisor.workers();
    assert_eq!(workers.len(), 1);
    Process::open(workers[0]).unwrap().signal(Signal::KILL);
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["worker_died", "skipped"]);
    assert!(over.reason().contains("may have had effects"), "{}", over.reason());
}

#[test]
fn a_stopped_service_goes_on_with_its_batches_when_it_is_started_again() {
    let options = options();
    let mut supervisor = Supervisor::start(&options);
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let tasks = [
        notes.prompt("before", ["say: 4"]),
        notes.shell("interrupted", &format!("read go < {}", gate.path())),
        notes.prompt("after", ["say: 4"]),
    ];
    let batch_id = submit(&mut supervisor.connect(), &plan(tasks));
    notes.ledger.wait_for_starts(2);
    // What ran is ended, as always; that was our own wish, so that it is begun again.
    assert!(supervisor.stop().success());
    supervisor.start_again(&options);
    notes.ledger.wait_for_starts(3);
    gate.release();
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"; 3]);
    assert_eq!(attempts(over.row("interrupted")).len(), 2, "{}", over.row("interrupted"));
    notes.ledger.assert_sequence(["before", "interrupted", "interrupted", "after"]);
}

#[test]
fn a_wait_for_a_limit_goes_on_after_a_restart_until_the_same_moment() {
    let options = options();
    let mut supervisor = Supervisor::start(&options);
    let notes = Notes::new(&supervisor);
    let limited = notes.prompt("limited", ["limit for seconds: 5", "say: at last"]);
    let tasks = [with(limited, json!({"retries": 0})), notes.prompt("after", ["say: 4"])];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    attach(&mut client, &batch_id);
    let messages =
        progress_until(&mut client, &batch_id, |params| !params["batch"]["waits"].is_null());
    let until_ms = messages.last().unwrap()["params"]["batch"]["waits"]["until_ms"].clone();
    supervisor.kill();
    supervisor.start_again(&options);
    let mut client = supervisor.connect();
    let summary = get(&mut client, &batch_id);
    assert_eq!(summary["state"], "waiting_limit", "{summary}");
    assert_eq!(summary["waits"]["until_ms"], until_ms, "{summary}");
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"; 2]);
    assert_eq!(classes(over.row("limited")), [Some("limit"), None]);
    assert!(over.row("limited")["attempts"][1]["started_ms"].as_u64() >= until_ms.as_u64());
    notes.ledger.assert_sequence(["limited", "limited", "after"]);
}

#[test]
fn a_cancel_that_was_answered_holds_although_the_supervisor_is_killed_at_once() {
    let options = options();
    let mut supervisor = Supervisor::start(&options);
    let (notes, gate) = (Notes::new(&supervisor), Fifo::create());
    let deaf = format!("trap '' TERM; setsid sleep 100 & read go < {}", gate.path());
    let tasks = [notes.shell("deaf", &deaf), notes.prompt("never", ["say: 4"])];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan(tasks));
    notes.ledger.wait_for_starts(1);
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
    supervisor.kill();
    supervisor.start_again(&options);
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    assert_eq!(over.verdicts(), ["canceled", "skipped"]);
    assert_eq!(over.outcome(), "canceled");
    notes.ledger.assert_sequence(["deaf"]);
}

#[test]
fn a_hook_that_runs_through_a_restart_is_not_run_again() {
    let options = options();
    let mut supervisor = Supervisor::start(&options);
    let (notes, mut gate) = (Notes::new(&supervisor), Fifo::create());
    let told = supervisor.scratch().join("told");
    let command = format!("echo ran >> {}; read go < {}", told.display(), gate.path());
    let hooks = json!({"before_task": {"command": command}});
    let plan = plan_with(json!({ "hooks": hooks }), [notes.prompt("task", ["say: 4"])]);
    let batch_id = submit(&mut supervisor.connect(), &plan);
    cc_tests::wait_until("the hook runs", || told.exists());
    supervisor.kill();
    supervisor.start_again(&options);
    gate.release();
    let over = Over::of(&mut supervisor.connect(), &batch_id);
    over.assert_all_succeeded_at_once();
    assert_eq!(fs::read_to_string(told).unwrap(), "ran\n");
    notes.ledger.assert_sequence(["task"]);
}

#[test]
fn batches_side_by_side_all_go_on_after_a_restart() {
    let options = options();
    let mut supervisor = Supervisor::start(&options);
    let mut gate = Fifo::create();
    let batches: Vec<(Notes, String)> = (0..4)
        .map(|_| {
            let notes = Notes::new(&supervisor);
            let tasks = [
                notes.shell("gated", &format!("read go < {}", gate.path())),
                notes.shell("between", "true"),
                notes.prompt("last", ["say: 4"]),
            ];
            let batch_id = submit(&mut supervisor.connect(), &plan(tasks));
            notes.ledger.wait_for_starts(1);
            (notes, batch_id)
        })
        .collect();
    supervisor.kill();
    supervisor.start_again(&options);
    gate.write(b"go\ngo\ngo\ngo\n");
    for (notes, batch_id) in &batches {
        Over::of(&mut supervisor.connect(), batch_id).assert_all_succeeded_at_once();
        notes.ledger.assert_sequence(["gated", "between", "last"]);
    }
}
