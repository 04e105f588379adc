//! The command line. What is written here is what `--help` shows.

use std::{env::VarError, path::PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

mod batch;
mod doctor;
mod tasks;

pub(crate) use batch::{
    BatchArguments, BatchAttachArguments, BatchCancelArguments, BatchCommand, BatchView,
    BatchesArguments, PlanOptions,
};
pub(crate) use doctor::DoctorArguments;
pub(crate) use tasks::{AttachArguments, LogsArguments, PsArguments, SteerArguments};

const EXAMPLES: &str = "\
Examples:
  ccx demo                                  50 tasks, good and bad ones; no model is called
  ccx doctor                                what is ready for a night, and what is not
  ccx run -- sh -c 'make test'              any program, with a clean end
  ccx run --prompt 'What is 2+2?'           one Claude task; prints the answer
  ccx batch tasks.md                        the items of a Markdown list, one after another
  ccx --url ws://127.0.0.1:8003 run -- id   the same by a supervisor that already runs
  ccx run --detach -- make                  leaves the task to that supervisor and prints its id
  ccx ps                                    what runs there; then `ccx attach ID`, `ccx cancel ID`
  ccx batch --detach tasks.md               leaves the batch to it; then `ccx batches`,
                                            `ccx batch attach ID`, `ccx batch cancel ID`";

/// Options that every command has stand after its own.
const GLOBAL_ORDER: usize = 100;

/// Run one task, or many one after another, each contained: however a task ends, none of its
/// processes is left behind.
///
/// Without --url, `run`, `batch` and `demo` start a private supervisor for their duration; the other
/// commands use the one at ws://127.0.0.1:8003.
#[derive(Debug, Parser)]
#[command(name = "ccx", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which supervisor.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServerOptions {
    /// Use the supervisor that runs there, such as ws://127.0.0.1:8003
    #[arg(
        long,
        global = true,
        env = "CC_EXECUTOR_URL",
        value_name = "URL",
        display_order = GLOBAL_ORDER
    )]
    pub(crate) url: Option<String>,
    /// File with the token that the supervisor wants (or give the token itself in CC_EXECUTOR_TOKEN)
    #[arg(long, global = true, value_name = "FILE", display_order = GLOBAL_ORDER)]
    pub(crate) token_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one task: a program after `--`, or a prompt
    Run(Box<RunArguments>),
    /// Run the tasks of a file, one after another or side by side
    Batch(Box<BatchArguments>),
    /// List batches
    Batches(BatchesArguments),
    /// List the gates of accounts: which ones a usage limit has shut, until when, and who waits
    Gates(GatesArguments),
    /// Open the gate of an account whose limit is over before its time
    #[command(subcommand)]
    Gate(GateCommand),
    /// List tasks
    Ps(PsArguments),
    /// Show a task from its beginning, then live, to its end
    Attach(AttachArguments),
    /// Print what a task has printed
    Logs(LogsArguments),
    /// End tasks, with everything that they started
    Cancel(SteerArguments),
    /// Stop tasks until they are resumed; their clocks stop too
    Pause(SteerArguments),
    /// Let paused tasks go on
    Resume(SteerArguments),
    /// Run good and bad tasks with a stand-in agent, to see what this is for
    Demo(DemoArguments),
    /// Check what tasks need before the first night; no model is called
    Doctor(DoctorArguments),
    /// Prints what a task has
    #[command(hide = true)]
    DoctorProbe,
    /// Plays the part of `claude -p` without calling a model
    #[command(hide = true)]
    StandInAgent(StandInArguments),
}

/// What to list of gates.
#[derive(Debug, Args)]
pub(crate) struct GatesArguments {
    /// Print an object of JSON for each gate instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with gates.
#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Let one task begin at once, and the others if it meets no limit
    Open(GateOpenArguments),
}

/// Which gates to open.
#[derive(Debug, Args)]
pub(crate) struct GateOpenArguments {
    /// Gates, as `ccx gates` shows them
    #[arg(value_name = "GATE", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<String>,
    /// All that are shut
    #[arg(long)]
    pub(crate) all: bool,
}

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

/// How a task file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A prompt a line
    Text,
    /// A Markdown list
    Markdown,
    /// An object of JSON a line
    Jsonl,
    /// A list of objects of JSON, or an object that has one
    Json,
    /// A batch with defaults
    Toml,
}

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
    /// Options of `claude`; only --model is looked at
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CLAUDE OPTIONS")]
    pub(crate) claude_options: Vec<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let limit = cc_protocol::execute::TIMEOUT_S_LIMIT;
    text.parse()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= limit)
        .ok_or_else(|| format!("must be a number of seconds greater than 0 and at most {limit}"))
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) => Err("must be NAME=VALUE or NAME".to_owned()),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(VarError::NotPresent) => {
                Err("has no value here; give one with NAME=VALUE".to_owned())
            }
            Err(VarError::NotUnicode(_)) => Err("has a value that is no UTF-8 here".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_variable_without_a_value_takes_the_one_that_it_has_here() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(variable("PATH"), Ok(("PATH".to_owned(), std::env::var("PATH").unwrap())));
        assert!(variable("=b").is_err());
        assert!(variable("CC_NO_SUCH_VARIABLE").is_err());
    }

    #[test]
    fn run_takes_a_program_or_a_prompt_and_never_both() {
        assert!(Arguments::try_parse_from(["ccx", "run", "--", "ls", "-l"]).is_ok());
        assert!(Arguments::try_parse_from(["ccx", "run", "--prompt", "hi"]).is_ok());
        assert!(Arguments::try_parse_from(["ccx", "run"]).is_err());
        assert!(Arguments::try_parse_from(["ccx", "run", "--prompt", "hi", "--", "ls"]).is_err());
    }

    #[test]
    fn a_detached_task_has_no_notifications_to_print() {
        assert!(Arguments::try_parse_from(["ccx", "run", "--detach", "--", "ls"]).is_ok());
        assert!(Arguments::try_parse_from(["ccx", "run", "-d", "--json", "--", "ls"]).is_err());
    }

    #[test]
    fn steering_needs_a_task_and_takes_several() {
        for command in ["cancel", "pause", "resume"] {
            assert!(Arguments::try_parse_from(["ccx", command]).is_err());
            assert!(Arguments::try_parse_from(["ccx", command, "a", "b"]).is_ok());
        }
    }

    #[test]
    fn the_stand_in_takes_whatever_a_supervisor_passes_to_claude() {
        let line = ["ccx", "stand-in-agent", "-p", "--output-format", "stream-json", "--verbose"];
        let Command::StandInAgent(arguments) = Arguments::try_parse_from(line).unwrap().command
        else {
            panic!("another command")
        };
        assert_eq!(arguments.claude_options, line[2..]);
    }

    #[test]
    fn a_timeout_is_a_positive_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["0", "-1", "NaN", "inf", "1e9", "10s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
