//! A kill -9 at any moment: what was committed is there, and nothing is there by half.
//!
//! The test starts itself again as a writer that commits numbered transactions and prints the number of
//! each one once it is committed, kills it somewhere, and looks. A database serves several rounds: it is
//! killed near its creation first, and then opened after a kill again and again.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use cc_events::{Completed, Containment, EndReason, OutputCounts, Started, Verdict};
use cc_state::{Change, Filter, StateDb, TaskAccepted};

const WRITER: &str = "CC_STATE_TEST_WRITER";
const ROUNDS: u64 = 48;
const ROUNDS_OF_A_DATABASE: u64 = 6;
const TASKS: usize = 10;
/// A writer that outlives its kill would fill the disk.
const TRANSACTIONS_LIMIT: usize = 100_000;

fn session_id(transaction: usize) -> String {
    format!("session {transaction:06}")
}

fn task_id(transaction: usize, task: usize) -> String {
    format!("task {transaction:06} {task:02}")
}

/// Begins a session with ten tasks, ends those of the transaction before and closes its session: every
/// table and every index is in it.
fn transaction(number: usize) -> Vec<Change> {
    let id = session_id(number);
    let mut changes = vec![Change::SessionBegun { id, token_hash: [1; 32], at_ms: 1, token: None }];
    changes.extend((0..TASKS).map(|task| {
        Change::TaskAccepted(Box::new(TaskAccepted {
            id: task_id(number, task),
            session_id: Some(session_id(number)),
            label: None,
            command: "a command of some length ".repeat(task),
            accepted_ms: 1,
            is_claude: false,
            is_prompt: false,
            leaf: None,
            deadlines: None,
            batch_id: None,
            shape: None,
            token: None,
        }))
    }));
    if let Some(before) = number.checked_sub(1) {
        changes.extend((0..TASKS).flat_map(|task| end(task_id(before, task))));
        changes.push(Change::SessionClosed { id: session_id(before), at_ms: 2 });
    }
    changes
}

fn end(id: String) -> [Change; 2] {
    let started = Started {
        pid: 2,
        worker_pid: 1,
        containment: Containment::Subreaper,
        isolation: Default::default(),
    };
    let completed = Box::new(Completed {
        pid: 2,
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
    [
        Change::TaskStarted { id: id.clone(), at_ms: 2, started },
        Change::TaskEnded { id, at_ms: 3, completed, last_seq: 1, log_bytes: 100, result: None },
    ]
}

/// How many transactions are there; panics where one is there by half.
fn whole_transactions(path: &Path) -> usize {
    let (db, _) = StateDb::open(path).unwrap();
    let tasks = db.tasks(Filter::All, None, usize::MAX).unwrap();
    assert_eq!(tasks.len() % TASKS, 0, "a transaction is there by half");
    let transactions = tasks.len() / TASKS;
    for (index, task) in tasks.iter().rev().enumerate() {
        let (number, task_number) = (index / TASKS, index % TASKS);
        assert_eq!(task.accepted.id, task_id(number, task_number));
        let is_ended = number + 1 < transactions;
        assert_eq!((task.started.is_some(), task.ended.is_some()), (is_ended, is_ended));
    }
    for number in 0..transactions {
        let session = db.session(&session_id(number)).unwrap().unwrap();
        assert_eq!(session.closed_ms.is_some(), number + 1 < transactions);
    }
    assert_eq!(db.session(&session_id(transactions)).unwrap(), None);
    let candidates = db.retention_candidates(0).unwrap();
    assert_eq!(candidates.ended_tasks, (transactions.saturating_sub(1) * TASKS) as u64);
    transactions
}

#[test]
#[ignore = "started by the test below, and killed by it"]
fn writer() {
    let Some(path) = env::var_os(WRITER) else { return };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "opening").unwrap();
    let (mut db, _) = StateDb::open(Path::new(&path)).unwrap();
    let begin = db.tasks(Filter::All, None, usize::MAX).unwrap().len() / TASKS;
    for number in begin..begin + TRANSACTIONS_LIMIT {
        db.transaction(&transaction(number)).unwrap();
        writeln!(stdout, "committed {number}").unwrap();
    }
}

/// Starts a writer, kills it `delay` after it has printed `lines` lines, and returns what it said to be
/// the last transaction that it had committed.
fn write_until_killed(path: &Path, lines: u64, delay: Duration) -> Option<usize> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(WRITER, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The test harness may have printed something before it on the same line.
    output.find(|line| line.ends_with("opening")).unwrap();
    let mut last = None;
    let number = |line: String| line.strip_prefix("committed ").map(|text| text.parse().unwrap());
    for line in output.by_ref().take(usize::try_from(lines).unwrap()) {
        last = number(line).or(last);
    }
    // Waits for nothing: it chooses the moment.
    thread::sleep(delay);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "it ended before it was killed: {status}");
    // What it had committed and printed since.
    output.filter_map(number).last().or(last)
}

/// A small generator with a fixed seed, so that a round that fails can be repeated.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

#[test]
fn a_writer_that_is_killed_at_any_moment_leaves_every_transaction_whole_and_what_it_committed() {
    let mut directory = tempfile::tempdir().unwrap();
    let mut written = 0;
    let mut most = 0;
    for seed in 0..ROUNDS {
        let mut random = random(seed);
        let (mut lines, mut delay) = (random(40), Duration::from_micros(random(3_000)));
        if seed % ROUNDS_OF_A_DATABASE == 0 {
            directory = tempfile::tempdir().unwrap();
            written = 0;
            (lines, delay) = (0, Duration::from_micros(random(6_000)));
        }
        let path = directory.path().join("state.db");
        let last = write_until_killed(&path, lines, delay);
        let found = whole_transactions(&path);
        let committed = last.map_or(written, |last| last + 1);
        // One more: committed, and killed before it could say so.
        assert!((committed..=committed + 1).contains(&found), "seed {seed}: {found}");
        written = found;
        most = most.max(written);
    }
    assert!(most > 50, "only {most} transactions were ever under way");
}
