//! What a worker holds in memory: while its task waits, and at most while it prints 20 MB.

use cc_tests::{Options, Supervisor, fifo::Fifo, installed::misbehave_argv, processes};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{has_static_worker, most_resident_mb, resident_mb, warmed_up},
    rounds::Sample,
    row::{Goal, Row},
};

pub const WORKER_MEMORY: Measurement =
    Measurement { name: "worker-memory", about: "memory of a worker, idle and streaming", run };

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let (supervisor, _client) = warmed_up(&Options::new());
    let rounds = effort.pick(5, 20);
    let goal = Goal::AtMost(if has_static_worker() { 0.6 } else { 2.5 });
    let linked = if has_static_worker() { "static" } else { "portable" };
    let row = |what: &str, measure: fn(&Supervisor) -> f64| {
        let sample = (0..rounds).map(|_| measure(&supervisor)).collect();
        Row::new(WORKER_MEMORY.name, format!("{linked} worker, {what}"), "MB", Sample::new(sample))
            .goal(goal)
    };
    vec![row("idle", idle), row("streaming", streaming)]
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
    let worker = processes::parent(cc_tests::tasks::pid(&answer)).unwrap();
    let memory = look(worker);
    go.release();
    assert_eq!(client.collect(answer).end(), ("exit", 0));
    memory
}
