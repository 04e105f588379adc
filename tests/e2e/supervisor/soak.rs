//! After a night's work a supervisor is what it was before: descriptors, threads, memory, cgroups, files,
//! zombies and processes are where they began.
//!
//! Four clients do, as fast as they can, round after round, what clients do: short tasks, floods, cancels,
//! families of processes, resumed sessions, batches. The first rounds warm the supervisor up; the
//! others must leave nothing. The bounds are counts and bytes and no times; the short form runs more than five
//! hundred tasks, so that what one in fifty of them leaves is seen. The long form is the same with more
//! rounds: `CC_TEST_SOAK_ROUNDS=500 cargo test -p cc-tests --test e2e supervisor::soak` runs some
//! fifty thousand tasks.

use std::{fs, path::Path, thread, time::Instant};

use cc_tests::{
    Client, Supervisor, Transcript,
    batches::{self, plan},
    binaries::misbehave_argv,
    cgroup::Containment,
    fifo::Fifo,
    processes,
    requests::{gated, last_seq, task_id},
    unique_tag, wait_until, with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(what_was_used_is_given_back);

/// Names the number of rounds; [`ROUNDS`] without it.
const ROUNDS_VARIABLE: &str = "CC_TEST_SOAK_ROUNDS";
const ROUNDS: usize = 6;
const WARM_UP_ROUNDS: usize = 3;

/// Clients at once, and what each does in a round.
const CLIENTS: usize = 4;
const SHORT_TASKS: usize = 15;
const BATCH_TASKS: usize = 5;

/// Logs that are kept; those of the last second besides, whose clients may come back for them.
const KEPT_TASKS: usize = 200;

/// What may be more at the end than after the warm-up: what is just starting or ending when it is looked
/// at, such as a worker.
const DESCRIPTORS_SLACK: usize = 8;
const THREADS_SLACK: usize = 2;
const PROCESSES_SLACK: usize = 4;
/// The allocator's.
const MEMORY_SLACK_BYTES: u64 = 8 * 1024 * 1024;
/// What the database may have written beside its file before it puts it there.
const DATABASE_SLACK_BYTES: u64 = 8 * 1024 * 1024;
/// For what is remembered of a client's round, in memory or on the disk: two sessions that are over (of the last ten
/// thousand, so that a late client learns what became of its own), and a batch.
const REMEMBERED_BYTES: u64 = 8 * 1024;

fn what_was_used_is_given_back(containment: &Containment) {
    let rounds = match std::env::var(ROUNDS_VARIABLE) {
        Ok(text) => text.parse().expect("the number of rounds is a number"),
        Err(_) => ROUNDS,
    };
    let options = containment.options().flag("--keep-tasks", KEPT_TASKS).flag("--grace", 2);
    let options = options.flag("--resume-grace", 1);
    let supervisor = Supervisor::start(&options);
    let tag = unique_tag("soak");
    for _ in 0..WARM_UP_ROUNDS {
        round(&supervisor, &tag);
    }
    wait_until_quiet(&supervisor, &tag);
    let before = Holdings::of(&supervisor, containment);
    let start = Instant::now();
    let mut tasks = 0;
    for _ in 0..rounds {
        tasks += round(&supervisor, &tag);
    }
    let time_s = start.elapsed().as_secs_f64();
    wait_until_quiet(&supervisor, &tag);
    let mut after = Holdings::of(&supervisor, containment);
    for (what, count, most) in [
        ("descriptors", Holdings::descriptors as fn(&Holdings) -> usize, DESCRIPTORS_SLACK),
        ("threads", Holdings::threads, THREADS_SLACK),
        ("processes", Holdings::processes, PROCESSES_SLACK),
        ("cgroups", Holdings::cgroups, PROCESSES_SLACK),
    ] {
        let most = count(&before) + most;
        wait_until(&format!("at most {most} {what}, of {}", count(&after)), || {
            after = Holdings::of(&supervisor, containment);
            count(&after) <= most
        });
    }
    eprintln!(
        "{tasks} tasks in {rounds} rounds, {time_s:.0} s\nbefore {before:?}\nafter  {after:?}"
    );
    assert_eq!(after.files, before.files, "files of the state directory");
    let remembered_bytes = (rounds * CLIENTS) as u64 * REMEMBERED_BYTES;
    let most_bytes = before.resident_bytes + MEMORY_SLACK_BYTES + remembered_bytes;
    assert!(after.resident_bytes <= most_bytes, "{after:?} after {before:?}");
    let most_bytes = before.database_bytes + DATABASE_SLACK_BYTES + remembered_bytes;
    assert!(after.database_bytes <= most_bytes, "{after:?} after {before:?}");
}

/// All clients once; returns how many tasks that were.
fn round(supervisor: &Supervisor, tag: &str) -> usize {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| work(supervisor, tag))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

/// One client's round; returns how many tasks it had.
fn work(supervisor: &Supervisor, tag: &str) -> usize {
    let mut client = supervisor.connect();
    for number in 0..SHORT_TASKS {
        assert_eq!(client.run_shell(&format!("echo {number}")).stdout(), format!("{number}\n"));
    }
    flood(&mut client);
    cancel(&mut client, tag);
    family(&mut client, tag);
    let mut client = resume(supervisor, client);
    client.call("session.close", &json!({})).unwrap();
    batch(supervisor);
    SHORT_TASKS + BATCH_TASKS + 4
}

/// A task that prints ten times what is kept.
fn flood(client: &mut Client) {
    let argv = misbehave_argv(&["flood", "1000000", "1000"]);
    let transcript = client.run_to_end(&json!({"argv": argv, "max_output_bytes": 100_000}));
    assert!(transcript.stdout().ends_with("the last line\n"));
}

/// A task that would never end, and prints all the while.
fn cancel(client: &mut Client, tag: &str) {
    let flood = misbehave_argv(&["flood", "100000000000", "1000"]).join(" ");
    let params = json!({
        "argv": ["sh", "-c", format!("{flood}; : {tag}")],
        "max_output_bytes": 100_000,
    });
    let answer = client.execute(&params).unwrap();
    let events = client.recv_until_method("process.output");
    client.control("CANCEL").unwrap();
    assert_eq!(client.collect_after(answer, events).completed()["reason"], "canceled");
}

/// A task that leaves others behind.
fn family(client: &mut Client, tag: &str) {
    let argv = misbehave_argv(&["setsid-sleepers", "3", "exit", tag]);
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    assert_eq!(transcript.completed()["killed_leftovers"], 3);
}

/// A task whose client goes on on another connection; returns that.
fn resume(supervisor: &Supervisor, mut client: Client) -> Client {
    let session = client.session();
    let mut fifo = Fifo::create();
    let answer = client.execute(&gated(&fifo, "seq 100")).unwrap();
    let mut events: Vec<Value> = client.recv_until_output("ready");
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    fifo.release();
    assert!(client.follow(&mut events));
    let transcript = Transcript::checked(answer, events);
    assert!(transcript.stdout().ends_with("\n100\n"));
    client
}

fn batch(supervisor: &Supervisor) {
    let tasks = (0..BATCH_TASKS).map(|number| json!({"command": format!("echo {number}")}));
    batches::run(supervisor, &plan(tasks)).assert_all_succeeded_at_once();
}

/// Waits until nothing of any task is there, and the logs are as many as are kept.
fn wait_until_quiet(supervisor: &Supervisor, tag: &str) {
    wait_until("no process of a task lives", || processes::survivors(tag).is_empty());
    let tasks = supervisor.state_directory().join("tasks");
    let mut client = supervisor.connect();
    wait_until("no more logs than are kept", || {
        // The end of a task is when others are removed.
        assert_eq!(client.run_shell("true").end(), ("exit", 0));
        entries(&tasks).len() <= KEPT_TASKS
    });
    client.call("session.close", &json!({})).unwrap();
    wait_until("no worker has a task, nothing is a zombie, and of a task its log is left", || {
        let is_log_alone = |task: &String| {
            // It may be removed at this moment.
            let files = fs::read_dir(tasks.join(task)).into_iter().flatten().flatten();
            files.map(|file| file.file_name()).all(|name| name == "log")
        };
        supervisor.workers().is_empty()
            && supervisor.zombies().is_empty()
            && entries(&tasks).iter().all(is_log_alone)
    });
}

/// What a supervisor holds of the machine's.
#[derive(Debug)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    processes: usize,
    cgroups: usize,
    /// Names in the state directory.
    files: Vec<String>,
    /// Of those of them that are no directories.
    database_bytes: u64,
    resident_bytes: u64,
}

impl Holdings {
    fn of(supervisor: &Supervisor, containment: &Containment) -> Self {
        let process = Path::new("/proc").join(supervisor.pid().to_string());
        Self {
            descriptors: entries(&process.join("fd")).len(),
            threads: entries(&process.join("task")).len(),
            processes: supervisor.left_behind().len(),
            cgroups: match containment {
                Containment::Cgroup(root) => directories(root.path()),
                Containment::Subreaper => 0,
            },
            files: entries(&supervisor.state_directory()),
            database_bytes: bytes(&supervisor.state_directory()),
            resident_bytes: processes::memory(supervisor.pid()).resident_bytes,
        }
    }

    fn descriptors(&self) -> usize {
        self.descriptors
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn processes(&self) -> usize {
        self.processes
    }

    fn cgroups(&self) -> usize {
        self.cgroups
    }
}

/// The names in a directory, in order.
fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Of the files in a directory, but not below it.
fn bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file);
    files.map(|file| file.len()).sum()
}

/// All directories below this one.
fn directories(below: &Path) -> usize {
    let entries = fs::read_dir(below).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.path().is_dir());
    directories.map(|entry| 1 + self::directories(&entry.path())).sum()
}
