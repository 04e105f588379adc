//! How long a short task takes, from sending `execute` to its terminal event, against starting the same
//! program directly.

use std::process::{Command, Stdio};

use cc_tests::{Options, cgroup::Containment};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::{NO_STATIC_WORKER, Peers},
    product::{execute, open, warmed_up, with_worker},
    rounds::{Contender, in_turns_of, timed_ms},
    row::{Goal, Row},
};

pub const LATENCY: Measurement = Measurement {
    name: "latency",
    about: "a short task on a connected session, against starting its program directly",
    run,
};

/// The program that all of them run.
pub const PROGRAM: [&str; 2] = ["/bin/echo", "hello"];
const BASELINE: &str = "started directly";
const IN_A_CGROUP: &str = ", in a cgroup";
const STATIC_WORKER: &str = ", static worker";
/// Turns whose median is a round's value.
const TURNS: usize = 10;

fn run(effort: Effort, peers: &Peers) -> Vec<Row> {
    let in_cgroup = Containment::cgroup();
    let cold_goal = Goal::RatioAtMost(1.5);
    let mut kinds: Vec<(&str, Options, Goal)> = vec![("", Options::new(), cold_goal)];
    if let Some(containment) = &in_cgroup {
        kinds.push((IN_A_CGROUP, containment.options(), cold_goal));
    }
    if let Some(worker) = &peers.static_worker {
        let options = with_worker(Options::new(), worker);
        kinds.push((STATIC_WORKER, options, Goal::RatioAtMost(1.3)));
    }
    let supervisors: Vec<_> = kinds.iter().map(|(_, options, _)| warmed_up(options).0).collect();
    let request = execute(&json!({ "argv": PROGRAM }));
    let mut contenders: Vec<Contender<'_>> = vec![Box::new(|| timed_ms(start_directly))];
    for supervisor in &supervisors {
        let (mut wire, request) = (open(supervisor), &request);
        contenders.push(Box::new(move || timed_ms(|| drop(wire.run(request)))));
    }
    let mut samples = in_turns_of(TURNS, effort.pick(30, 200), contenders);
    let direct = samples.remove(0);
    let what = |kind: &str| format!("short task{kind}");
    let mut rows: Vec<Row> = kinds
        .into_iter()
        .zip(samples)
        .map(|((kind, _, goal), sample)| {
            Row::new(LATENCY.name, what(kind), "ms", sample)
                .against(BASELINE, direct.clone())
                .goal(goal)
        })
        .collect();
    if peers.static_worker.is_none() {
        rows.push(Row::left_out(LATENCY.name, what(STATIC_WORKER), NO_STATIC_WORKER));
    }
    rows
}

/// With pipes that are read to their ends, as every caller would.
pub fn start_directly() {
    let mut command = Command::new(PROGRAM[0]);
    let output = command.args(&PROGRAM[1..]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"hello\n");
}
