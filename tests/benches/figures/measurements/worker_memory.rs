//! What a worker holds in memory: while its task waits, and at most while it prints 20 MB.

use cc_tests::{Options, Supervisor, binaries::misbehave_argv, fifo::Fifo, processes};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::{NO_STATIC_WORKER, Peers},
    product::{most_resident_mb, resident_mb, warmed_up, with_worker},
    rounds::Sample,
    row::{Goal, Row},
};

pub const WORKER_MEMORY: Measurement =
    Measurement { name: "worker-memory", about: "memory of a worker, idle and streaming", run };

/// What a worker is looked at for, and how, in megabytes.
type Look = (&'static str, fn(&Supervisor) -> f64);
const LOOKS: [Look; 2] = [("idle", idle), ("streaming", streaming)];

fn run(effort: Effort, peers: &Peers) -> Vec<Row> {
    let portable = rows_of("portable", &Options::new(), Goal::AtMost(2.5), effort);
    let statically = match &peers.static_worker {
        Some(worker) => {
            let options = with_worker(Options::new(), worker);
            rows_of("static", &options, Goal::AtMost(0.6), effort)
        }
        None => LOOKS
            .map(|(look, _)| {
                Row::left_out(WORKER_MEMORY.name, what("static", look), NO_STATIC_WORKER)
            })
            .into(),
    };
    portable.into_iter().chain(statically).collect()
}

fn what(linked: &str, look: &str) -> String {
    format!("{linked} worker, {look}")
}

/// Of the workers of a supervisor with these options.
fn rows_of(linked: &str, options: &Options, goal: Goal, effort: Effort) -> Vec<Row> {
    let (supervisor, _client) = warmed_up(options);
    let row = |(look, measure): Look| {
        let sample = (0..effort.pick(5, 20)).map(|_| measure(&supervisor)).collect();
        Row::new(WORKER_MEMORY.name, what(linked, look), "MB", Sample::new(sample)).goal(goal)
    };
    LOOKS.map(row).into()
}

/// Of one whose task waits.
fn idle(supervisor: &Supervisor) -> f64 {
    worker_of(supervisor, "true", resident_mb)
}

/// Of one whose task has just printed 20 MB, all of it within its bounds.
fn streaming(supervisor: &Supervisor) -> f64 {
    let flood = misbehave_argv(&["flood", "20000000", "200"]).join(" ");
    worker_of(supervisor, &flood, most_resident_mb)
}

/// Looks at a worker whose task has done this, and waits.
fn worker_of(supervisor: &Supervisor, first: &str, look: fn(i32) -> f64) -> f64 {
    let (mut done, mut go) = (Fifo::create(), Fifo::create());
    let command = format!("{first}; echo done > {}; read go < {}", done.path(), go.path());
    let mut client = supervisor.connect();
    let params = json!({"command": command, "max_output_bytes": 100_000_000});
    let answer = client.execute(&params).unwrap();
    assert_eq!(done.read(), "done\n");
    let worker = processes::parent(cc_tests::requests::pid(&answer)).unwrap();
    let memory = look(worker);
    go.release();
    assert_eq!(client.collect(answer).end(), ("exit", 0));
    memory
}
