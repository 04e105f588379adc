//! Ourselves as a contender: supervisors, what they and their processes cost, and one task.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cc_tests::{Client, Options, Supervisor, processes};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::wire::Wire;

/// The unit of memory on the page: a megabyte is a million bytes.
pub const MEGABYTE: f64 = 1_000_000.0;

/// Lets this process, and what it starts, have as many connections as the machine allows.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// Options of a supervisor that uses this worker and not the installed one.
pub fn with_worker(options: Options, worker: &Path) -> Options {
    options.flag("--worker", worker.display())
}

/// A session for throughput, by a client that does as little as can be.
pub fn open(supervisor: &Supervisor) -> Wire {
    let mut wire = Wire::connect(supervisor.address(), "/ws/mcp");
    assert!(wire.next().is_some(), "the server speaks first");
    wire
}

/// The same with several lines in one message.
pub fn open_batched(supervisor: &Supervisor) -> Wire {
    let mut wire = open(supervisor);
    let request = json!({
        "jsonrpc": "2.0", "id": 2, "method": "session.configure", "params": {"output_batch": true},
    });
    wire.send(&request.to_string());
    wire.until_answer(2);
    wire
}

/// A session with a supervisor that has run a task: what is done for the first time is not counted.
pub fn warmed_up(options: &Options) -> (Supervisor, Client) {
    let supervisor = Supervisor::start(options);
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo warm").end(), ("exit", 0));
    (supervisor, client)
}

/// The text of an `execute`.
pub fn execute(params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "execute", "params": params}).to_string()
}

/// Resident now, megabytes.
pub fn resident_mb(pid: i32) -> f64 {
    processes::memory(pid).resident_bytes as f64 / MEGABYTE
}

/// The most that was ever resident, megabytes.
pub fn most_resident_mb(pid: i32) -> f64 {
    processes::memory(pid).most_resident_bytes as f64 / MEGABYTE
}

/// Processor time of a process and of those children of it that it has waited for. Exact to 20 ms.
pub fn processor_time(pid: i32) -> Duration {
    let fields = processes::stat(pid).expect("the process lives");
    // utime, stime, cutime, cstime; see proc_pid_stat(5), which counts from the pid as 1.
    let ticks: u64 = fields[11..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// How often each thread of a process went to sleep of its own accord so far, by the thread's number.
pub fn sleeps(pid: i32) -> BTreeMap<OsString, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let count = |path: PathBuf| {
        let text = fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };
    threads.flatten().map(|thread| (thread.file_name(), count(thread.path()))).collect()
}

/// How often that was since then. A thread that has ended takes its number with it.
pub fn sleeps_since(now: &BTreeMap<OsString, u64>, before: &BTreeMap<OsString, u64>) -> u64 {
    let since = |(thread, count): (&OsString, &u64)| {
        count.saturating_sub(before.get(thread).copied().unwrap_or_default())
    };
    now.iter().map(since).sum()
}
