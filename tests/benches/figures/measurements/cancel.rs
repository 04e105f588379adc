//! How long it takes to end a tree of two hundred processes, each in a session of its own, until nothing
//! of it is left, against `cgroup.kill` by hand.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek},
    os::fd::AsFd,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use cc_tests::{
    Options, PATIENCE, Supervisor,
    binaries::{misbehave, misbehave_argv},
    cgroup::Containment,
    unique_tag,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    product::{execute, open, warmed_up},
    rounds::{Contender, in_turns},
    row::{Goal, Row},
};

pub const CANCEL: Measurement = Measurement {
    name: "cancel",
    about: "canceling a tree of 200 processes in own sessions, until nothing of it is left",
    run,
};

const PROCESSES: &str = "200";
const WITHIN: &str = "cancel of 200 processes, in a cgroup";

fn run(effort: Effort, _peers: &Peers) -> Vec<Row> {
    let in_cgroup = Containment::cgroup();
    let (without, _client) = warmed_up(&Options::new());
    let within = in_cgroup.as_ref().map(|containment| warmed_up(&containment.options()).0);
    let mut contenders: Vec<Contender<'_>> = vec![Box::new(|| cancel_ms(&without))];
    if let Some(supervisor) = &within {
        contenders.push(Box::new(|| cancel_ms(supervisor)));
    }
    if let Some(Containment::Cgroup(root)) = &in_cgroup {
        contenders.push(Box::new(|| by_hand_ms(root.path())));
    }
    let mut samples = in_turns(effort.pick(5, 20), contenders).into_iter();
    let mut next = || samples.next();
    let without = next().unwrap();
    let what = "cancel of 200 processes, without a cgroup";
    let mut rows = vec![Row::new(CANCEL.name, what, "ms", without).goal(Goal::AtMost(100.0))];
    rows.push(match (next(), next()) {
        (Some(ours), Some(by_hand)) => Row::new(CANCEL.name, WITHIN, "ms", ours)
            .against("cgroup.kill by hand", by_hand)
            .goal(Goal::RatioAtMost(1.5)),
        _ => Row::left_out(CANCEL.name, WITHIN, "no writable cgroup v2 hierarchy here"),
    });
    rows
}

/// From sending the cancel to the terminal event, which says that the tree is proven empty.
fn cancel_ms(supervisor: &Supervisor) -> f64 {
    let tag = unique_tag("cancel");
    let argv = misbehave_argv(&["setsid-sleepers", PROCESSES, "stay", &tag]);
    let mut wire = open(supervisor);
    wire.send(&execute(&json!({ "argv": argv })));
    wire.until_output();
    let cancel =
        json!({"jsonrpc": "2.0", "id": 4, "method": "control", "params": {"type": "CANCEL"}});
    let start = Instant::now();
    wire.send(&cancel.to_string());
    let received = wire.until_end();
    let time = start.elapsed();
    assert!(received.end.contains("\"reason\":\"canceled\""), "{received:?}");
    time.as_secs_f64() * 1_000.0
}

/// The same tree in a cgroup that is made, killed and watched without any program between.
fn by_hand_ms(root: &Path) -> f64 {
    let leaf = root.join(unique_tag("by-hand"));
    fs::create_dir(&leaf).unwrap();
    let line = format!(
        "echo $$ > '{}/cgroup.procs'; exec '{}' setsid-sleepers {PROCESSES} stay {}",
        leaf.display(),
        misbehave(),
        unique_tag("by-hand")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.contains("sleep"), "{ready:?}");
    let mut events = File::open(leaf.join("cgroup.events")).unwrap();
    let start = Instant::now();
    fs::write(leaf.join("cgroup.kill"), "1").unwrap();
    while is_populated(&mut events) {
        let mut descriptors = [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)];
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        assert_eq!(poll(&mut descriptors, Some(&patience)), Ok(1), "it is not empty");
    }
    let time = start.elapsed();
    child.wait().unwrap();
    fs::remove_dir(&leaf).unwrap();
    time.as_secs_f64() * 1_000.0
}

fn is_populated(events: &mut File) -> bool {
    let mut text = String::new();
    events.rewind().unwrap();
    events.read_to_string(&mut text).unwrap();
    text.contains("populated 1")
}
