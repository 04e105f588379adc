//! What a task costs beyond its program: execute → completed on a connected session, against a bare
//! spawn of the same program, interleaved in one run. Prints figures and judges nothing.
//!
//! `cargo bench -p cc-tests --bench overhead [-- ROUNDS]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark: a broken assumption ends it where it is noticed"
)]

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cc_tests::{Client, Supervisor, cgroup::Containment};
use serde_json::json;

const PROGRAM: &str = "/bin/true";
const ROUNDS: usize = 300;
const WARM_UP_ROUNDS: usize = 20;

fn main() {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let rounds = rounds.unwrap_or(ROUNDS);
    let cgroup = Containment::cgroup();
    let contained: Vec<Containment> = cgroup.into_iter().chain([Containment::Subreaper]).collect();
    let supervisors: Vec<Supervisor> =
        contained.iter().map(|containment| Supervisor::start(&containment.options())).collect();
    let mut clients: Vec<Client> = supervisors.iter().map(Supervisor::connect).collect();

    let mut bare = Vec::new();
    let mut tasks = vec![Vec::new(); clients.len()];
    let mut connections = vec![Vec::new(); clients.len()];
    for round in 0..WARM_UP_ROUNDS + rounds {
        let is_counted = round >= WARM_UP_ROUNDS;
        let keep = |list: &mut Vec<Duration>, time| {
            if is_counted {
                list.push(time);
            }
        };
        keep(&mut bare, time(bare_spawn));
        for (number, client) in clients.iter_mut().enumerate() {
            keep(&mut tasks[number], time(|| task(client)));
            let fresh = time(|| task(&mut supervisors[number].connect()));
            keep(&mut connections[number], fresh);
        }
    }

    println!("{rounds} rounds, {PROGRAM}, interleaved; times in microseconds, ratios of medians");
    println!("{:<44} {:>8} {:>8} {:>8} {:>7}", "", "median", "min", "max", "ratio");
    let median_bare = print_row("bare spawn and wait", &mut bare, None);
    for (number, containment) in contained.iter().enumerate() {
        let name = containment.name();
        let label = format!("execute to completed, {name}");
        print_row(&label, &mut tasks[number], Some(median_bare));
        let label = format!("connect, execute to completed, {name}");
        print_row(&label, &mut connections[number], Some(median_bare));
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn bare_spawn() {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
}

fn task(client: &mut Client) {
    client.send_request("execute", &json!({"argv": [PROGRAM]}));
    while client.recv_json()["method"] != "process.completed" {}
}

/// Prints one row; returns its median.
fn print_row(label: &str, times: &mut [Duration], bare: Option<Duration>) -> Duration {
    times.sort_unstable();
    let median = times[times.len() / 2];
    let (min, max) = (times[0], times[times.len() - 1]);
    let ratio = bare.map_or(1.0, |bare| median.as_secs_f64() / bare.as_secs_f64());
    println!(
        "{label:<44} {:>8} {:>8} {:>8} {ratio:>7.2}",
        median.as_micros(),
        min.as_micros(),
        max.as_micros()
    );
    median
}
