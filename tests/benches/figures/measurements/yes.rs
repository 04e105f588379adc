//! What the supervisor holds in memory, at most, while a task prints `y` as fast as it can: with a reader,
//! without one, and with ten clients that do not read.

use std::{
    thread,
    time::{Duration, Instant},
};

use cc_tests::{Options, Supervisor};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{execute, most_resident_mb, open, resident_mb, warmed_up},
    rounds::Sample,
    row::{Goal, Row},
    wire::Wire,
};

pub const YES: Measurement = Measurement {
    name: "yes",
    about: "memory of the supervisor while tasks print as fast as they can",
    run,
};

/// Of each task: far more than it prints in a test, and a bound for the disk.
const OUTPUT_BYTES: u64 = 100_000_000;
const STALLED_CLIENTS: usize = 10;

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let window = Duration::from_secs(effort.pick(4, 30));
    let rounds = effort.pick(1, 3);
    type Scenario = fn(&Supervisor, Duration);
    let scenarios: [(&str, Scenario); 3] =
        [("with a reader", reader), ("without a reader", nobody), ("ten stalled readers", stalled)];
    let row = |(name, scenario): (&str, Scenario)| {
        let grown = (0..rounds).map(|_| grown_mb(window, scenario)).collect();
        let what = format!("supervisor during yes, above idle, {name}");
        Row::new(YES.name, what, "MB", Sample::new(grown))
            .goal(Goal::AtMost(8.0))
            .note(format!("most in {} s", window.as_secs()))
    };
    scenarios.into_iter().map(row).collect()
}

/// The most that it held, beyond what it held when it was idle.
fn grown_mb(window: Duration, scenario: fn(&Supervisor, Duration)) -> f64 {
    let (supervisor, _client) = warmed_up(&Options::new().flag("--resume-grace", 60));
    let idle = resident_mb(supervisor.pid());
    scenario(&supervisor, window);
    most_resident_mb(supervisor.pid()) - idle
}

fn start(supervisor: &Supervisor) -> Wire {
    let mut wire = open(supervisor);
    wire.send(&execute(&json!({"argv": ["yes"], "max_output_bytes": OUTPUT_BYTES})));
    wire.until_output();
    wire
}

fn reader(supervisor: &Supervisor, window: Duration) {
    let mut wire = start(supervisor);
    let start = Instant::now();
    while start.elapsed() < window {
        assert!(wire.next().is_some(), "the connection has ended");
    }
}

fn nobody(supervisor: &Supervisor, window: Duration) {
    drop(start(supervisor));
    thread::sleep(window);
}

fn stalled(supervisor: &Supervisor, window: Duration) {
    let wires: Vec<Wire> = (0..STALLED_CLIENTS).map(|_| start(supervisor)).collect();
    thread::sleep(window);
    drop(wires);
}
