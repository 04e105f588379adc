//! Options of `demo`, and of the agent that plays its tasks.

use clap::Args;

/// Options of `demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if every task ended as it should and no process is left behind."
)]
pub(crate) struct DemoArguments {
    /// How many tasks
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) tasks: u32,
}

const STAND_IN_HELP: &str = "\
Reads the prompt from stdin, as `claude -p` does, and prints what `--output-format stream-json
--verbose` prints. What the prompt begins with says what happens:
  print N MB             prints N million bytes, then a result
  work N s               a line every tenth of a second for N seconds, then a result
  fail                   a result that is an error; exits with 1
  hang                   begins and never ends
  hang ignoring SIGTERM  the same, and only SIGKILL helps
  leave a daemon         leaves a process in a session of its own that holds stderr open
  no result              exits with 0 without a result
  result without exit    prints its result and never exits
  wrong key              three retries for 401, then a result that is an error
  limit until SECONDS    a usage limit until that second since 1970, a short answer from then on
Anything else: a short answer. Whatever hangs ends by itself after two minutes.";

/// What a supervisor passes to an agent.
#[derive(Debug, Args)]
#[command(after_help = STAND_IN_HELP)]
pub(crate) struct StandInArguments {
    /// Be the daemon that `leave a daemon` leaves
    #[arg(long, hide = true)]
    pub(crate) daemon: bool,
    /// Options of `claude`; only --model is used
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CLAUDE OPTIONS")]
    pub(crate) claude_options: Vec<String>,
}
