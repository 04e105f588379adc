//! What the supervisor holds in memory: idle, for each idle connection, and with very many of them,
//! against a server on tokio-tungstenite with that library's defaults.

use std::net::{SocketAddr, TcpStream};

use cc_tests::Options;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::{Peers, Server},
    product::{MEGABYTE, resident_mb, warmed_up},
    rounds::Sample,
    row::{Goal, Row},
    wire::Wire,
};

pub const CONNECTIONS: Measurement = Measurement {
    name: "connections",
    about: "memory of the supervisor: idle, and with many idle connections",
    run,
};

/// What the goal is about.
const MANY: usize = 10_000;

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let count = effort.pick(1_000, MANY);
    let (mut idle, mut each, mut all, mut theirs) = (vec![], vec![], vec![], vec![]);
    for round in 0..3 {
        let ours = || {
            let options = Options::new().flag("--max-sessions", count + 10);
            let (supervisor, _client) = warmed_up(&options);
            let before = resident_mb(supervisor.pid());
            let streams = hold(supervisor.address(), "/ws/mcp", count);
            let after = resident_mb(supervisor.pid());
            drop(streams);
            (before, after)
        };
        let mut take_ours = || {
            let (before, after) = ours();
            idle.push(before);
            each.push(a_connection_kb(before, after, count));
            all.push(after);
        };
        if round % 2 == 0 {
            take_ours();
            theirs.push(tungstenite_kb(count));
        } else {
            theirs.push(tungstenite_kb(count));
            take_ours();
        }
    }
    let name = CONNECTIONS.name;
    let with_many = format!("supervisor with {count} idle connections");
    let many = Row::new(name, with_many, "MB", Sample::new(all));
    vec![
        Row::new(name, "supervisor, idle", "MB", Sample::new(idle)).goal(Goal::AtMost(10.0)),
        Row::new(name, "an idle connection", "KB", Sample::new(each))
            .against("tokio-tungstenite's defaults", Sample::new(theirs))
            .goal(Goal::AtMost(6.0)),
        if count == MANY {
            many.goal(Goal::AtMost(70.0))
        } else {
            many.note(format!("--thorough opens {MANY}"))
        },
    ]
}

fn tungstenite_kb(count: usize) -> f64 {
    let server = Server::tungstenite();
    // What is allocated for the first one is not counted.
    let first = Wire::connect(server.address, "/");
    let before = resident_mb(server.pid());
    let streams = hold(server.address, "/", count);
    let after = resident_mb(server.pid());
    drop((first, streams));
    a_connection_kb(before, after, count)
}

fn a_connection_kb(before_mb: f64, after_mb: f64, count: usize) -> f64 {
    (after_mb - before_mb) * MEGABYTE / 1_000.0 / count as f64
}

/// So many connections that nothing is said on, once the server has said what it says first.
pub fn hold(address: SocketAddr, path: &str, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| Wire::connect(address, path).into_stream()).collect()
}
