//! The worst that another client waits for an answer while a hundred sessions have a task each that prints
//! a megabyte a second, against the same requests when nothing runs.

use std::{
    io::{ErrorKind, Read},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use cc_tests::{Options, Supervisor, binaries::misbehave_argv, requests::task_id, wait_until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{MEGABYTE, execute, open, warmed_up},
    rounds::{Sample, timed_ms},
    row::{Goal, Row},
    wire::Wire,
};

pub const CROWD: Measurement = Measurement {
    name: "crowd",
    about: "worst wait of another client while 100 sessions stream 1 MB/s each",
    run,
};

const SESSIONS: usize = 100;
const BYTES_A_SECOND: u64 = 1_000_000;
/// Between two requests of the other client.
const PAUSE: Duration = Duration::from_millis(10);

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let options = Options::new().flag("--max-sessions", 2 * SESSIONS).flag("--resume-grace", 0);
    let (supervisor, mut client) = warmed_up(&options.flag("--grace", 1));
    let known = task_id(&client.run_to_end(&json!({"argv": ["true"]})).answer).to_owned();
    let mut other = open(&supervisor);
    let window = Duration::from_secs(effort.pick(3, 20));
    let (mut idle, mut loaded, mut rates) = (vec![], vec![], vec![]);
    for _ in 0..effort.pick(2, 4) {
        idle.push(worst_ms(&mut other, &known, window / 3));
        let streams: Vec<TcpStream> = (0..SESSIONS).map(|_| stream(&supervisor)).collect();
        let (received, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| drain(streams, &received, &is_over));
            let start = Instant::now();
            loaded.push(worst_ms(&mut other, &known, window));
            let bytes = received.load(Ordering::Relaxed) as f64;
            rates.push(bytes / MEGABYTE / start.elapsed().as_secs_f64());
            is_over.store(true, Ordering::Relaxed);
        });
        wait_until("the tasks have ended with their sessions", || {
            client.call("task.list", &json!({"state": "running"})).unwrap()["tasks"] == json!([])
        });
    }
    let rate = Sample::new(rates).median();
    vec![
        Row::new(
            CROWD.name,
            "worst wait for an answer beside 100 streams",
            "ms",
            Sample::new(loaded),
        )
        .against("when nothing runs", Sample::new(idle))
        .goal(Goal::RatioAtMost(10.0))
        .goal(Goal::AtMost(50.0))
        .note(format!("{rate:.0} MB/s of messages arrived")),
    ]
}

/// The longest of the waits in this time: an echo, a task's state, the list of tasks, in turn.
fn worst_ms(wire: &mut Wire, known: &str, window: Duration) -> f64 {
    let requests = [
        json!({"jsonrpc": "2.0", "id": 5, "method": "ping", "params": {}}),
        json!({"jsonrpc": "2.0", "id": 5, "method": "task.get", "params": {"task_id": known}}),
        json!({"jsonrpc": "2.0", "id": 5, "method": "task.list", "params": {"limit": 10}}),
    ]
    .map(|request| request.to_string());
    let start = Instant::now();
    let mut worst: f64 = 0.0;
    for request in requests.iter().cycle() {
        if start.elapsed() >= window {
            break;
        }
        worst = worst.max(timed_ms(|| {
            wire.send(request);
            wire.until_answer(5);
        }));
        thread::sleep(PAUSE);
    }
    worst
}

/// A session whose task prints on and on.
fn stream(supervisor: &Supervisor) -> TcpStream {
    let mut wire = open(supervisor);
    let argv = misbehave_argv(&["steady", &BYTES_A_SECOND.to_string()]);
    wire.send(&execute(&json!({"argv": argv, "max_output_bytes": 1_000_000_000})));
    wire.until_output();
    wire.into_stream()
}

/// Reads all of them as fast as it can, in one thread, and looks at nothing.
fn drain(mut streams: Vec<TcpStream>, received: &AtomicU64, is_over: &AtomicBool) {
    const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut buffer = vec![0; 256 * 1024];
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
    }
    while !is_over.load(Ordering::Relaxed) {
        let mut descriptors: Vec<PollFd<'_>> =
            streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
        poll(&mut descriptors, Some(&TICK)).unwrap();
        let ready: Vec<bool> =
            descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect();
        for (stream, _) in streams.iter_mut().zip(ready).filter(|(_, is_ready)| *is_ready) {
            match stream.read(&mut buffer) {
                Ok(0) => panic!("a session's connection has ended"),
                Ok(count) => {
                    received.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
    }
}
