//! The tasks of the load: what each does and prints.

use cc_tests::{
    Transcript,
    binaries::misbehave_argv,
    random::Random,
    requests::speak,
    spoken_output::{Stream, said, speech},
};
use serde_json::{Value, json};

/// What a task does, and what it prints.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) params: Value,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Canceled by its client when this many of its events have come.
    pub(super) cancel_after: Option<u64>,
}

impl Plan {
    pub(super) fn new(random: &mut Random, tag: &str) -> Self {
        let plan = |params: Value, stdout: String| Self {
            params,
            stdout,
            stderr: String::new(),
            cancel_after: None,
        };
        let shell = |command: &str| json!({ "command": command });
        match random.below(8) {
            kind @ (0 | 1) => {
                let (seed, bytes) =
                    (random.below(1_000), [50_000, 700_000][usize::from(kind == 1)]);
                let parts = speech(seed, bytes);
                Self {
                    stderr: said(&parts, Stream::Stderr),
                    ..plan(speak(seed, bytes), said(&parts, Stream::Stdout))
                }
            }
            2 => plan(shell("echo short"), "short\n".to_owned()),
            3 => plan(shell("sleep 0.3; echo quiet; exit 3"), "quiet\n".to_owned()),
            4 => {
                let argv = misbehave_argv(&["setsid-sleepers", "4", "exit", tag]);
                plan(json!({ "argv": argv }), "the sleepers sleep\n".to_owned())
            }
            5 => {
                let argv = misbehave_argv(&["daemon", "holding", tag]);
                plan(json!({ "argv": argv }), "the daemon runs\n".to_owned())
            }
            6 => {
                let argv = misbehave_argv(&["setsid-sleepers", "3", "stay", tag]);
                let plan = plan(json!({ "argv": argv }), "the sleepers sleep\n".to_owned());
                Self { cancel_after: Some(2), ..plan }
            }
            _ => {
                let lines: String = (0..2_000).map(|number| format!("line {number}\n")).collect();
                plan(json!({"argv": misbehave_argv(&["lines", "2000"])}), lines)
            }
        }
    }

    /// All bytes are there, unless the task was ended before it had printed them.
    pub(super) fn check(&self, transcript: &Transcript) {
        let (stdout, stderr) = (transcript.stdout(), transcript.stderr());
        match transcript.end().0 {
            "exit" => {
                assert!(stdout == self.stdout, "stdout is not what was printed: {self:?}");
                assert!(stderr == self.stderr, "stderr is not what was printed: {self:?}");
            }
            "worker_died" | "canceled" => {
                assert!(self.stdout.starts_with(&stdout), "stdout was never printed: {self:?}");
                assert!(self.stderr.starts_with(&stderr), "stderr was never printed: {self:?}");
            }
            other => panic!("ended as {other}: {}", transcript.completed()),
        }
    }
}
