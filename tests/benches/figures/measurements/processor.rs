//! What a short task costs the processor, everything counted: who asks, the supervisor, the worker and
//! the task, against a direct start of the same program.

use std::time::Duration;

use cc_tests::{Options, Supervisor, wait_until};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde_json::json;

use super::{
    Measurement,
    latency::{PROGRAM, start_directly},
};
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{execute, open, processor_time, warmed_up},
    rounds::{Contender, in_turns},
    row::{Goal, Row},
    wire::Wire,
};

pub const PROCESSOR: Measurement = Measurement {
    name: "processor",
    about: "processor time of a short task, everything counted",
    run,
};

/// Tasks a round: the kernel counts a supervisor's time in steps of 10 ms.
const TASKS: u32 = 200;

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let (supervisor, _) = warmed_up(&Options::new());
    let mut wire = open(&supervisor);
    let direct: Contender<'_> = Box::new(|| {
        let before = own_and_childrens();
        (0..TASKS).for_each(|_| start_directly());
        a_task_ms(own_and_childrens() - before)
    });
    let ours: Contender<'_> = Box::new(|| tasks(&supervisor, &mut wire));
    let mut samples = in_turns(effort.pick(5, 20), vec![direct, ours]);
    let direct = samples.remove(0);
    let ours = samples.remove(0);
    vec![
        Row::new(PROCESSOR.name, "processor time of a task".to_owned(), "ms", ours)
            .against("started directly", direct)
            .goal(Goal::RatioAtMost(1.4)),
    ]
}

fn tasks(supervisor: &Supervisor, wire: &mut Wire) -> f64 {
    let request = execute(&json!({ "argv": PROGRAM }));
    settle(supervisor);
    let before = own() + used_by(supervisor);
    for _ in 0..TASKS {
        wire.run(&request);
    }
    settle(supervisor);
    a_task_ms(own() + used_by(supervisor) - before)
}

/// By the supervisor, and by its keeper with all workers that have ended.
fn used_by(supervisor: &Supervisor) -> Duration {
    let keepers = supervisor.keepers();
    keepers.into_iter().chain([supervisor.pid()]).map(processor_time).sum()
}

/// Waits until as many workers are left as there are when nothing runs, so that all that ended are counted.
fn settle(supervisor: &Supervisor) {
    let mut before = usize::MAX;
    wait_until("the workers are as many as before", || {
        let now = supervisor.workers().len();
        let is_settled = now == before;
        before = now;
        is_settled
    });
}

fn a_task_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0 / f64::from(TASKS)
}

fn own() -> Duration {
    time_of(getrusage(UsageWho::RUSAGE_SELF).unwrap())
}

fn own_and_childrens() -> Duration {
    own() + time_of(getrusage(UsageWho::RUSAGE_CHILDREN).unwrap())
}

fn time_of(usage: Usage) -> Duration {
    let (user, system) = (usage.user_time(), usage.system_time());
    let microseconds = |time: nix::sys::time::TimeVal| {
        Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()).cast_unsigned())
    };
    microseconds(user) + microseconds(system)
}
