//! What is known of a stream: while it comes, for the clocks of its task, and at its end, for the verdict.

use cc_events::{ClaudeFacts, ClaudeResult, Verdict, Warning};

use crate::refusal::Refusal;

/// What was learned from a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The result of the run: of several, what `answer` makes of them.
    pub result: Option<ClaudeResult>,
    /// At least one line was Claude's: its `init`, a retry or a result.
    pub is_stream: bool,
    /// A tool of the CLI's ran, or may have: without a result it is not known what it has done. False only
    /// where none can have run.
    pub tool_may_have_run: bool,
    /// The API's last word was a refusal: nothing was answered since.
    pub refusal: Option<Refusal>,
    /// The model of the last `init` line.
    pub model: Option<String>,
    /// The session of the last line that named one, for `--resume`.
    pub claude_session_id: Option<String>,
    /// The end of the last text that the model has written, at most 4 KiB.
    pub last_text: Option<String>,
    /// What the stream says of the CLI.
    pub facts: ClaudeFacts,
    /// What a good result does not say: why the work cannot have been done. In words, it is one of the warnings.
    pub shortfall: Option<Verdict>,
    /// What a person should know beside the verdict.
    pub warnings: Vec<Warning>,
}

/// What a task's clocks need to know of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How many result lines have come.
    pub results: u64,
    /// After the last result another turn has begun, which will have its own.
    pub is_in_turn: bool,
    /// A tool call runs, or work in the background: silence is to be expected.
    pub is_working: bool,
    /// Work in the background runs: another result may follow.
    pub is_background_in_flight: bool,
    /// How many retries the CLI has reported, and how long it waits before the last one, milliseconds.
    pub retries: u64,
    /// See `retries`.
    pub retry_delay_ms: u64,
}
