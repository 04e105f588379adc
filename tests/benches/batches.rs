//! What a batch costs beyond its tasks: real Claude tasks (with the stand-in API) through a batch,
//! against a shell loop over `claude -p` with the same prompts, in turns in one run. Prints figures and
//! judges nothing.
//!
//! `CC_TEST_CLAUDE=… cargo bench -p cc-tests --bench batches [-- TASKS]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark: a broken assumption ends it where it is noticed"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cc_tests::{
    Options, Supervisor,
    batches::{plan, run},
    messages_api::RealCli,
};
use serde_json::json;

const TASKS: usize = 50;
/// Both take turns of so many tasks, so that a machine that slows down slows both.
const TASKS_A_TURN: usize = 10;

fn main() {
    let tasks = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let turns = tasks.unwrap_or(TASKS).div_ceil(TASKS_A_TURN);
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let prompt = supervisor.scratch().join("prompt");
    fs::write(&prompt, "say: 4").unwrap();
    // What is read for the first time is slow for whoever comes first.
    shell_loop(&cli, &prompt, 1);
    batch(&supervisor, 1);

    let (mut in_loop, mut in_batch) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..turns {
        if turn % 2 == 0 {
            in_loop += shell_loop(&cli, &prompt, TASKS_A_TURN);
            in_batch += batch(&supervisor, TASKS_A_TURN);
        } else {
            in_batch += batch(&supervisor, TASKS_A_TURN);
            in_loop += shell_loop(&cli, &prompt, TASKS_A_TURN);
        }
    }
    let count = turns * TASKS_A_TURN;
    println!("{count} tasks each, in turns of {TASKS_A_TURN}");
    for (label, time) in [("shell loop over claude -p", in_loop), ("batch", in_batch)] {
        let seconds = time.as_secs_f64();
        println!(
            "{label:<28} {seconds:>8.2} s {:>8.1} ms a task",
            seconds * 1_000.0 / count as f64
        );
    }
    println!("ratio {:.4}", in_batch.as_secs_f64() / in_loop.as_secs_f64());
}

fn shell_loop(cli: &RealCli, prompt: &Path, count: usize) -> Duration {
    let line = format!(
        "for number in $(seq {count}); do \
         '{}' -p --output-format stream-json --verbose < '{}' > /dev/null || exit 1; done",
        cli.program().display(),
        prompt.display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line]).env_clear().envs(cli.environment());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    assert!(command.status().unwrap().success());
    start.elapsed()
}

fn batch(supervisor: &Supervisor, count: usize) -> Duration {
    let tasks = (0..count).map(|_| json!({"prompt": "say: 4"}));
    let start = Instant::now();
    run(supervisor, &plan(tasks)).assert_all_succeeded_at_once();
    start.elapsed()
}
