//! What a batch costs beyond its tasks: real Claude tasks (with the stand-in API) through a batch, against
//! a shell loop over `claude -p` with the same prompts.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use cc_tests::{
    Options, Supervisor,
    batches::{plan, run as run_batch},
    messages_api::RealCli,
};
use serde_json::json;

use super::Measurement;
use crate::{
    arguments::Effort,
    peers::Peers,
    rounds::{Sample, in_turns},
    row::{Goal, Row},
};

pub const CLAUDE: Measurement = Measurement {
    name: "claude",
    about: "real Claude CLI tasks in a row through a batch, against a shell loop",
    run,
};

const WHAT: &str = "a Claude task, in a batch";
/// The CLI's own time differs by a tenth from one time to the next, which hides what the batch costs.
const BESIDES: &str = "what is no Claude task's own time, in a batch, a task";
const LOOP: &str = "shell loop over claude -p";
/// A round, so that a machine that slows down slows both.
const TASKS: usize = 5;

fn run(effort: Effort, peers: &Peers) -> Vec<Row> {
    let Some(program) = &peers.claude else {
        return vec![Row::left_out(CLAUDE.name, WHAT, "the claude CLI is not installed")];
    };
    let cli = RealCli::with_program(program);
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let prompt = supervisor.scratch().join("prompt");
    fs::write(&prompt, "say: 4").unwrap();
    let rounds = effort.pick(3, 10);
    let mut besides = Vec::new();
    let samples = in_turns(
        rounds,
        vec![
            Box::new(|| a_task_ms(|| shell_loop(&cli, &prompt))),
            Box::new(|| {
                let mut tasks_ms = 0.0;
                let whole_ms = a_task_ms(|| tasks_ms = batch(&supervisor));
                besides.push(whole_ms - tasks_ms);
                whole_ms
            }),
        ],
    );
    let [in_loop, in_batch] = <[_; 2]>::try_from(samples).unwrap();
    // That of the round that does not count.
    besides.remove(0);
    let note = format!("{} tasks, {TASKS} in a row", rounds * TASKS);
    vec![
        Row::new(CLAUDE.name, WHAT, "ms", in_batch)
            .against(LOOP, in_loop.clone())
            .goal(Goal::RatioAtMost(1.01))
            .note(note.clone()),
        Row::new(CLAUDE.name, BESIDES, "ms", Sample::new(besides))
            .against(LOOP, in_loop)
            .goal(Goal::RatioAtMost(0.01))
            .note(note),
    ]
}

fn a_task_ms(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1_000.0 / TASKS as f64
}

fn shell_loop(cli: &RealCli, prompt: &Path) {
    let line = format!(
        "for number in $(seq {TASKS}); do \
         '{}' -p --output-format stream-json --verbose < '{}' > /dev/null || exit 1; done",
        cli.program().display(),
        prompt.display()
    );
    let mut command = Command::new("sh");
    // The same environment as the tasks have, which is that of the supervisor.
    command.args(["-c", &line]).envs(cli.environment()).env_remove("ANTHROPIC_API_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
}

/// Returns the mean of the tasks' own times, in milliseconds.
fn batch(supervisor: &Supervisor) -> f64 {
    let tasks = (0..TASKS).map(|_| json!({"prompt": "say: 4"}));
    let over = run_batch(supervisor, &plan(tasks));
    over.assert_all_succeeded_at_once();
    let tasks_ms = over.rows.iter().map(|row| row["duration_ms"].as_f64().unwrap());
    tasks_ms.sum::<f64>() / TASKS as f64
}
