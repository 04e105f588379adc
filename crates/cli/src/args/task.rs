//! Options of a task, and of `run`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::values::{seconds, variable};

/// Options of a task; for a batch: of every task that does not say otherwise.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TaskOptions {
    /// Working directory [default: the current one; with --url, the server's setting]
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// End a task that prints nothing for this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) idle_timeout: Option<f64>,
    /// Model of a prompt task
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Tool that a prompt task may use without asking, such as 'Bash(git *)'; may be repeated
    #[arg(long = "allowed-tools", value_name = "TOOL")]
    pub(crate) allowed_tools: Vec<String>,
    /// Permission mode of a prompt task, such as acceptEdits
    #[arg(long, value_name = "MODE")]
    pub(crate) permission_mode: Option<String>,
    /// Variable to add to a task's environment, such as ANTHROPIC_API_KEY, which is not passed on
    /// otherwise; a name alone takes the value that it has here; may be repeated
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
}

/// Which program runs prompts.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AgentOption {
    /// What runs prompts: a program with its first arguments, or `stand-in`, which calls no model
    /// [default: claude]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) agent: Option<String>,
}

const RUN_HELP: &str = "\
Examples:
  ccx run -- sh -c 'echo out; echo err >&2; exit 3'
  ccx run --timeout 600 --cwd ~/project -- make test
  ccx run --prompt 'Explain src/main.rs' --allowed-tools Read
  git diff | ccx run --prompt -
  id=$(ccx run --detach -- make test); ccx attach $id

A connection to --url that breaks is made again and loses nothing; how long it is tried is the
supervisor's --resume-grace. With --detach the task belongs to no connection: it runs to its end in
the supervisor of --url, or the one at ws://127.0.0.1:8003, and the exit status is 0.

Exit status: the task's own; 128+N if signal N ended it; 124 for a timeout; 125 if ccx or the
supervisor failed; 126 if the program cannot be executed; 127 if it is not found. With --prompt,
0 only if the verdict is `succeeded`. The first Ctrl-C cancels the task and waits until its
processes are gone (130); a second one does not wait.";

/// Options of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = RUN_HELP,
    override_usage = "ccx run [OPTIONS] (--prompt <TEXT> | -- <ARGV>...)",
    group(ArgGroup::new("task").required(true).args(["prompt", "argv"])),
)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) task: TaskOptions,
    #[command(flatten)]
    pub(crate) agent: AgentOption,
    /// End the task after this many seconds, paused time not counted
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<f64>,
    /// A name for people, shown by `ccx ps` and in the supervisor's log
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Start the task, print its id and leave it to a running supervisor
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) detach: bool,
    /// Print every notification of the task as a line of JSON instead of its output
    #[arg(long)]
    pub(crate) json: bool,
    /// Run an agent with this prompt and print its answer; `-` reads the prompt from stdin
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Program and arguments, not interpreted by any shell
    #[arg(last = true, value_name = "ARGV")]
    pub(crate) argv: Vec<String>,
}
