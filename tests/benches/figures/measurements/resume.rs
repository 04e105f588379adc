//! How long a client that comes back waits for the first line that it has missed, and how fast the rest
//! follows, against reading the log's file.

use std::{fs::File, io::Read, path::Path, time::Instant};

use cc_tests::{
    Options, Session,
    binaries::misbehave_argv,
    requests::{log_path, task_id},
};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{MEGABYTE, open, open_batched, warmed_up},
    rounds::{in_turns, timed, timed_ms},
    row::{Goal, Row},
    wire::Wire,
};

pub const RESUME: Measurement = Measurement {
    name: "resume",
    about: "resuming a session with a log of 10 MB: first line, and replay rate",
    run,
};

const OUTPUT_BYTES: u64 = 10_000_000;

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let (supervisor, mut client) = warmed_up(&Options::new());
    let argv = misbehave_argv(&["flood", &OUTPUT_BYTES.to_string(), "200"]);
    let answer =
        client.execute(&json!({"argv": argv, "max_output_bytes": 2 * OUTPUT_BYTES})).unwrap();
    client.wait_for_end(task_id(&answer));
    let session = client.session();
    let log = log_path(&supervisor.state_directory(), task_id(&answer));

    let first = || {
        let mut wire = open(&supervisor);
        timed_ms(|| {
            ask(&mut wire, &session);
            wire.until_output();
        })
    };
    let first = in_turns(effort.pick(20, 100), vec![Box::new(first)]).remove(0);
    let samples = in_turns(
        effort.pick(5, 30),
        vec![
            Box::new(|| read_file(&log)),
            Box::new(|| replay(open(&supervisor), &session)),
            Box::new(|| replay(open_batched(&supervisor), &session)),
        ],
    );
    let [file, single, batched] = <[_; 3]>::try_from(samples).unwrap();
    let goal = Goal::RatioAtLeast(0.3);
    vec![
        Row::new(RESUME.name, "resume, until the first line", "ms", first).goal(Goal::AtMost(2.0)),
        Row::new(RESUME.name, "replay, a line a message", "MB/s", single)
            .against("reading the log's file", file.clone())
            .goal(goal),
        Row::new(RESUME.name, "replay, batched", "MB/s", batched)
            .against("reading the log's file", file)
            .goal(goal),
    ]
}

/// From the very beginning.
fn ask(wire: &mut Wire, session: &Session) {
    let params = json!({"session_id": session.id, "resume_token": session.token});
    let request = json!({"jsonrpc": "2.0", "id": 3, "method": "session.resume", "params": params});
    wire.send(&request.to_string());
}

/// Megabytes of output a second, until the terminal event.
fn replay(mut wire: Wire, session: &Session) -> f64 {
    let start = Instant::now();
    ask(&mut wire, session);
    loop {
        // The task that warmed the supervisor up comes first.
        let received = wire.until_end();
        assert!(!received.end.is_empty(), "the connection has ended");
        if received.bytes > OUTPUT_BYTES {
            return OUTPUT_BYTES as f64 / MEGABYTE / start.elapsed().as_secs_f64();
        }
    }
}

/// The same output in the file, which the page cache holds for both.
fn read_file(path: &Path) -> f64 {
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let time = timed(|| while file.read(&mut buffer).unwrap() > 0 {});
    OUTPUT_BYTES as f64 / MEGABYTE / time.as_secs_f64()
}
