//! What a transaction costs: with the one task that `execute` waits for, and with as many as come
//! together under load. Also what opening costs, and what retention's question does, with 10,000 tasks kept.
//!
//! `cargo bench -p cc-state` prints medians. On a disk in memory they are the processor's share.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to handle")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use cc_events::{Completed, EndReason, OutputCounts, Verdict};
use cc_state::{Change, Filter, StateDb, TaskAccepted};

const ROUNDS: usize = 301;
const KEPT: usize = 10_000;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut number = 0;
    for tasks in [1, 10, 100, 1_000] {
        let (mut db, _) = StateDb::open(&path).unwrap();
        let median = median(|| {
            let changes: Vec<_> = (0..tasks).map(|_| accepted(&mut number)).collect();
            let begun = Instant::now();
            db.transaction(&changes).unwrap();
            begun.elapsed()
        });
        println!("a transaction with {tasks:>4} tasks: {:>7.1} us", median.as_secs_f64() * 1e6);
    }
    let kept = directory.path().join("kept.db");
    with_kept_tasks(&kept);
}

fn with_kept_tasks(path: &Path) {
    let (mut db, _) = StateDb::open(path).unwrap();
    let mut number = 0;
    let accepted: Vec<_> = (0..KEPT).map(|_| accepted(&mut number)).collect();
    db.transaction(&accepted).unwrap();
    db.transaction(&(0..KEPT).map(ended).collect::<Vec<_>>()).unwrap();
    let candidates = median(|| timed(|| drop(db.retention_candidates(100).unwrap())));
    let page = median(|| timed(|| drop(db.tasks(Filter::All, None, 100).unwrap())));
    drop(db);
    let opening = median(|| timed(|| drop(StateDb::open(path).unwrap())));
    println!("with {KEPT} ended tasks:");
    println!("  retention's question {candidates:?}, a page of 100 {page:?}, opening {opening:?}");
}

fn id(number: usize) -> String {
    format!("0190a0b0-0000-7000-8000-{number:012}")
}

fn accepted(number: &mut usize) -> Change {
    let task = TaskAccepted {
        id: id(*number),
        session_id: None,
        label: None,
        command: "claude -p 'What is 2+2?'".to_owned(),
        accepted_ms: 1,
        is_claude: true,
        is_prompt: false,
        leaf: None,
        deadlines: None,
        batch_id: None,
        shape: None,
        token: None,
    };
    *number += 1;
    Change::TaskAccepted(Box::new(task))
}

fn ended(number: usize) -> Change {
    let completed = Box::new(Completed {
        pid: 0,
        reason: EndReason::Exit,
        verdict: Verdict::Succeeded,
        exit_code: 0,
        signal: None,
        error: None,
        duration_ms: 1,
        cpu_ms: 1,
        max_rss_bytes: 1,
        output: OutputCounts::default(),
        killed_leftovers: 0,
        unkillable: 0,
        warnings: Vec::new(),
        claude: None,
        spawn_failure: None,
    });
    let (at_ms, log_bytes) = (number as u64, 100_000);
    Change::TaskEnded { id: id(number), at_ms, completed, last_seq: 1, log_bytes, result: None }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(mut round: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}
