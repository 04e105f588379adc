//! How fast output comes to one client: long lines and short ones, a line a message and several,
//! against websocketd and against reading the program's pipe.

use std::{
    io::Read,
    process::{Command, Stdio},
    time::Instant,
};

use cc_tests::{Options, binaries::misbehave};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::{Peers, Server},
    product::{MEGABYTE, execute, open, open_batched, warmed_up},
    rounds::{Contender, Sample, in_turns},
    row::{Goal, Row},
    wire::Wire,
};

pub const LINES: Measurement = Measurement {
    name: "lines",
    about: "50 MB of 200-byte lines to one client, against websocketd and the bare pipe",
    run: lines,
};

pub const SHORT_LINES: Measurement = Measurement {
    name: "short-lines",
    about: "300,000 short lines (seq) to one client, against websocketd and the bare pipe",
    run: short_lines,
};

/// A program that prints, and how much.
struct Output {
    argv: Vec<String>,
    lines: u64,
    bytes: u64,
}

fn lines(effort: Effort, peers: &Peers) -> Vec<Row> {
    const BYTES: u64 = 50_000_000;
    const LINE_BYTES: u64 = 200;
    // From a file, so that it costs next to nothing to print them.
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut flood = Command::new(misbehave());
    flood.args(["flood", &BYTES.to_string(), &LINE_BYTES.to_string()]);
    assert!(flood.stdout(file.reopen().unwrap()).status().unwrap().success());
    let path = file.path().to_str().unwrap().to_owned();
    // A flood ends with a line that says so.
    let output = Output {
        argv: vec!["cat".to_owned(), path],
        lines: BYTES / LINE_BYTES + 1,
        bytes: BYTES + "the last line\n".len() as u64,
    };
    let samples = measure(effort.pick(3, 10), peers, &output);
    let what = "50 MB of 200-byte lines";
    let mut rows = rows(LINES.name, what, &samples, 12.0, Some(30.0));
    let against_pipe =
        Row::new(LINES.name, format!("{what}, batched, against the pipe"), "MB/s", samples.batched)
            .against("pipe read directly", samples.pipe)
            .goal(Goal::RatioAtLeast(0.5));
    rows.push(against_pipe);
    rows
}

fn short_lines(effort: Effort, peers: &Peers) -> Vec<Row> {
    const LINES: u64 = 300_000;
    let argv = vec!["seq".to_owned(), LINES.to_string()];
    let bytes = (1..=LINES).map(|number| u64::from(number.ilog10()) + 2).sum();
    let samples = measure(effort.pick(3, 10), peers, &Output { argv, lines: LINES, bytes });
    rows(SHORT_LINES.name, "300,000 short lines", &samples, 12.0, None)
}

/// Megabytes of the program's output a second.
struct Samples {
    pipe: Sample,
    single: Sample,
    batched: Sample,
    websocketd: Option<Sample>,
}

fn measure(rounds: usize, peers: &Peers, output: &Output) -> Samples {
    let (supervisor, _client) = warmed_up(&Options::new());
    let argv: Vec<&str> = output.argv.iter().map(String::as_str).collect();
    let server = peers.websocketd.as_ref().map(|program| Server::websocketd(program, &argv));
    let (mut single, mut batched) = (open(&supervisor), open_batched(&supervisor));
    let mut contenders: Vec<Contender<'_>> = vec![
        Box::new(|| rate(output, || read_pipe(output))),
        Box::new(|| rate(output, || run(&mut single, output, false))),
        Box::new(|| rate(output, || run(&mut batched, output, true))),
    ];
    if let Some(server) = &server {
        contenders.push(Box::new(|| {
            rate(output, || {
                let received = Wire::connect(server.address, "/").until_end();
                assert_eq!(received.messages, output.lines, "websocketd has lost something");
            })
        }));
    }
    let mut samples = in_turns(rounds, contenders).into_iter();
    let mut next = || samples.next();
    Samples {
        pipe: next().unwrap(),
        single: next().unwrap(),
        batched: next().unwrap(),
        websocketd: next(),
    }
}

fn rows(
    name: &'static str,
    what: &str,
    samples: &Samples,
    goal: f64,
    batched_goal: Option<f64>,
) -> Vec<Row> {
    let row = |way: &str, sample: &Sample, goal: f64| {
        let row = Row::new(name, format!("{what}, {way}"), "MB/s", sample.clone());
        match &samples.websocketd {
            Some(theirs) => {
                row.against("websocketd", theirs.clone()).goal(Goal::RatioAtLeast(goal))
            }
            None => row.note("websocketd is not installed"),
        }
    };
    vec![
        row("a line a message", &samples.single, goal),
        row("batched", &samples.batched, batched_goal.unwrap_or(goal)),
    ]
}

fn rate(output: &Output, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    output.bytes as f64 / MEGABYTE / start.elapsed().as_secs_f64()
}

/// One task with all its output.
fn run(wire: &mut Wire, output: &Output, is_batched: bool) {
    let params = json!({"argv": output.argv, "max_output_bytes": 4 * output.bytes});
    let received = wire.run(&execute(&params));
    let whole = format!("\"lines\":{},\"bytes\":{},", output.lines, output.bytes);
    assert!(received.end.contains(&whole), "not {whole} but {}", received.end);
    assert!(received.bytes > output.bytes, "the output itself did not come: {received:?}");
    assert_eq!(received.messages < output.lines, is_batched, "{received:?}");
}

/// What every contender has to do at least.
fn read_pipe(output: &Output) {
    let mut command = Command::new(&output.argv[0]);
    let mut child = command
        .args(&output.argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match pipe.read(&mut buffer).unwrap() {
            0 => break,
            count => bytes += count as u64,
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(bytes, output.bytes);
}
