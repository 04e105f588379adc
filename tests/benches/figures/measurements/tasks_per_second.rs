//! Short tasks from eight clients at once: a task after the other on a session each, against a connection
//! a task with websocketd, which knows no other way.

use std::{net::SocketAddr, thread, time::Instant};

use cc_tests::Options;
use serde_json::json;

use super::{Measurement, latency::PROGRAM};
use crate::{
    arguments::Effort,
    peers::{Peers, Server},
    product::{execute, open, warmed_up},
    rounds::in_turns,
    row::{Goal, Row},
    wire::Wire,
};

pub const TASKS_PER_SECOND: Measurement = Measurement {
    name: "tasks-per-second",
    about: "short tasks per second, eight clients at once",
    run,
};

const WHAT: &str = "short tasks, 8 clients";
const CLIENTS: usize = 8;
/// Of each client, a round.
const TASKS: usize = 50;

fn run(effort: Effort, peers: &Peers) -> Vec<Row> {
    let Some(websocketd) = &peers.websocketd else {
        return vec![Row::left_out(TASKS_PER_SECOND.name, WHAT, "websocketd is not installed")];
    };
    let (supervisor, _client) = warmed_up(&Options::new());
    let server = Server::websocketd(websocketd, &PROGRAM);
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| open(&supervisor)).collect();
    let request = execute(&json!({ "argv": PROGRAM }));
    let samples = in_turns(
        effort.pick(4, 30),
        vec![
            Box::new(|| rate(|| a_connection_a_task(server.address))),
            Box::new(|| rate(|| a_session_each(&mut wires, &request))),
        ],
    );
    let [theirs, ours] = <[_; 2]>::try_from(samples).unwrap();
    vec![
        Row::new(TASKS_PER_SECOND.name, WHAT, "tasks/s", ours)
            .against("websocketd, a connection a task", theirs)
            .goal(Goal::RatioAtLeast(1.0)),
    ]
}

fn rate(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    (CLIENTS * TASKS) as f64 / start.elapsed().as_secs_f64()
}

fn a_session_each(wires: &mut [Wire], request: &str) {
    thread::scope(|scope| {
        for wire in wires {
            scope.spawn(|| (0..TASKS).for_each(|_| drop(wire.run(request))));
        }
    });
}

fn a_connection_a_task(address: SocketAddr) {
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..TASKS {
                    let received = Wire::connect(address, "/").until_end();
                    assert_eq!(received.messages, 1, "{received:?}");
                }
            });
        }
    });
}
