//! What work that is there already adds to new work: the latency of a short task with more and more tasks
//! in the history and more and more idle sessions, and the time of a task in larger and larger batches.

use std::{net::TcpStream, thread};

use cc_tests::{
    Client, Options, Supervisor,
    batches::{BATCH_PATIENCE, attach, plan, submit},
};
use serde_json::json;

use super::{Measurement, connections::hold, latency::PROGRAM};
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{execute, open, warmed_up},
    rounds::{Contender, Sample, in_turns, in_turns_of, timed_ms},
    row::{Goal, Row},
};

pub const HISTORY: Measurement = Measurement {
    name: "history",
    about: "a short task with more and more tasks in the history",
    run: history,
};

pub const SESSIONS: Measurement = Measurement {
    name: "sessions",
    about: "a short task beside more and more idle sessions",
    run: sessions,
};

pub const BATCH: Measurement = Measurement {
    name: "batch-size",
    about: "a task in larger and larger batches",
    run: batch_size,
};

/// Ten times as much each time; the first is what the others are measured against.
fn sizes(effort: Effort) -> &'static [usize] {
    effort.pick(&[10, 100, 1_000], &[10, 100, 1_000, 10_000])
}

const CLIENTS: usize = 4;
/// Turns whose median is a round's value.
const TURNS: usize = 5;

fn history(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let options = Options::new().flag("--keep-tasks", 20_000);
    let supervisors: Vec<Supervisor> = sizes(effort)
        .iter()
        .map(|size| {
            let (supervisor, _client) = warmed_up(&options);
            fill(&supervisor, *size);
            supervisor
        })
        .collect();
    let samples = latencies(effort, &supervisors);
    rows(HISTORY.name, effort, samples, |size| format!("short task after {size} others"))
}

/// Runs so many tasks to their ends.
fn fill(supervisor: &Supervisor, tasks: usize) {
    let request = execute(&json!({"argv": ["/bin/true"]}));
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let share = tasks / CLIENTS + usize::from(number < tasks % CLIENTS);
            let request = &request;
            scope.spawn(move || {
                let mut wire = open(supervisor);
                (0..share).for_each(|_| drop(wire.run(request)));
            });
        }
    });
}

fn sessions(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let supervisors: Vec<Supervisor> = sizes(effort)
        .iter()
        .map(|size| warmed_up(&Options::new().flag("--max-sessions", size + 10)).0)
        .collect();
    // Beside the supervisors, so that their connections end before them.
    let held: Vec<Vec<TcpStream>> = sizes(effort)
        .iter()
        .zip(&supervisors)
        .map(|(size, supervisor)| hold(supervisor.address(), "/ws/mcp", *size))
        .collect();
    let samples = latencies(effort, &supervisors);
    drop(held);
    rows(SESSIONS.name, effort, samples, |size| format!("short task beside {size} idle sessions"))
}

fn latencies(effort: Effort, supervisors: &[Supervisor]) -> Vec<Sample> {
    let request = execute(&json!({ "argv": PROGRAM }));
    let contenders = supervisors.iter().map(|supervisor| {
        let (mut wire, request) = (open(supervisor), &request);
        Box::new(move || timed_ms(|| drop(wire.run(request)))) as Contender<'_>
    });
    in_turns_of(TURNS, effort.pick(20, 100), contenders.collect())
}

fn batch_size(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let (supervisor, _client) = warmed_up(&Options::new().flag("--keep-tasks", 20_000));
    let contenders = sizes(effort).iter().map(|size| {
        let mut client = supervisor.connect();
        // Small ones several times, so that a round's value is of as many tasks at least.
        let batches = 100_usize.div_ceil(*size);
        Box::new(move || {
            let time = timed_ms(|| (0..batches).for_each(|_| run_batch(&mut client, *size)));
            time / (batches * size) as f64
        }) as Contender<'_>
    });
    let samples = in_turns(effort.pick(2, 5), contenders.collect());
    rows(BATCH.name, effort, samples, |size| format!("a task in a batch of {size}"))
}

/// Submits it and waits for its end.
fn run_batch(client: &mut Client, tasks: usize) {
    client.set_patience(BATCH_PATIENCE);
    let batch = submit(client, &plan((0..tasks).map(|_| json!({"argv": ["/bin/true"]}))));
    attach(client, &batch);
    loop {
        let message = client.recv_json();
        if message["method"] == "batch.completed" {
            let counts = &message["params"]["batch"]["counts"];
            assert_eq!(counts["succeeded"], tasks, "{counts}");
            return;
        }
    }
}

/// The first figure stands for itself; the others are held against it.
fn rows(
    name: &'static str,
    effort: Effort,
    samples: Vec<Sample>,
    what: impl Fn(usize) -> String,
) -> Vec<Row> {
    let sizes = sizes(effort);
    let first = samples[0].clone();
    let row = |(size, sample): (&usize, Sample)| {
        Row::new(name, what(*size), "ms", sample)
            .against(what(sizes[0]), first.clone())
            .goal(Goal::RatioAtMost(1.1))
    };
    sizes.iter().zip(samples).skip(1).map(row).collect()
}
