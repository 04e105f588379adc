//! What waiting costs: how often supervisor and workers wake up while nothing happens, and the processor
//! time of that.

use std::{collections::BTreeMap, ffi::OsString, thread, time::Duration};

use cc_tests::{Client, Options, Supervisor};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{processor_time, sleeps, sleeps_since, warmed_up},
    rounds::Sample,
    row::Row,
};

pub const IDLE: Measurement = Measurement {
    name: "idle",
    about: "wake-ups of supervisor and workers while nothing happens",
    run,
};

const TASKS: usize = 100;
/// A multiple of the time between two signs of life of a worker, so that none is counted by chance.
const WINDOW: Duration = Duration::from_secs(10);

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    // With only the workers of these tasks, so that all that is counted belongs to them.
    let options = Options::new().flag("--max-sessions", 2 * TASKS);
    let (waiting, _) = warmed_up(&options);
    let (nothing, _) = warmed_up(&options);
    let clients: Vec<Client> = (0..TASKS).map(|_| start_waiting(&waiting)).collect();
    let (of_nothing, of_waiting) = watch(effort.pick(1, 6), &nothing, &waiting);
    for mut client in clients {
        client.call("session.close", &json!({})).unwrap();
    }
    let row = |what: &str, unit: &'static str, sums: &[Sums], pick: fn(&Sums) -> f64| {
        let values = sums.iter().map(|sums| pick(sums) / WINDOW.as_secs_f64()).collect();
        Row::new(IDLE.name, what, unit, Sample::new(values))
    };
    let in_ms = |sums: &Sums| sums.time.as_secs_f64() * 1_000.0;
    let wakes = "wake-ups/s";
    vec![
        row("supervisor, nothing to do", wakes, &of_nothing, |sums| sums.supervisor as f64),
        row("supervisor, 100 waiting tasks", wakes, &of_waiting, |sums| sums.supervisor as f64),
        row("100 workers of waiting tasks", wakes, &of_waiting, |sums| sums.workers as f64),
        row("processor time of all these", "ms/s", &of_waiting, in_ms),
    ]
}

fn start_waiting(supervisor: &Supervisor) -> Client {
    let mut client = supervisor.connect();
    client.execute(&json!({"argv": ["sleep", "600"]})).unwrap();
    client
}

/// What was counted up to a moment.
struct Counts {
    supervisor: BTreeMap<OsString, u64>,
    workers: BTreeMap<OsString, u64>,
    time: Duration,
}

impl Counts {
    fn of(supervisor: &Supervisor) -> Self {
        let workers = supervisor.workers();
        Self {
            supervisor: sleeps(supervisor.pid()),
            workers: workers.iter().flat_map(|worker| sleeps(*worker)).collect(),
            time: processor_time(supervisor.pid())
                + workers.iter().map(|worker| processor_time(*worker)).sum::<Duration>(),
        }
    }

    fn since(&self, before: &Self) -> Sums {
        Sums {
            supervisor: sleeps_since(&self.supervisor, &before.supervisor),
            workers: sleeps_since(&self.workers, &before.workers),
            time: self.time - before.time,
        }
    }
}

/// What was counted in a window.
struct Sums {
    supervisor: u64,
    workers: u64,
    time: Duration,
}

/// What is counted of the two in each of so many windows.
fn watch(windows: usize, one: &Supervisor, other: &Supervisor) -> (Vec<Sums>, Vec<Sums>) {
    (0..windows)
        .map(|_| {
            let before = (Counts::of(one), Counts::of(other));
            thread::sleep(WINDOW);
            (Counts::of(one).since(&before.0), Counts::of(other).since(&before.1))
        })
        .unzip()
}
