//! The command line. What is written here is what `--help` shows.

mod batch;
mod demo;
mod doctor;
mod gates;
mod operate;
mod reports;
mod status;
mod task;
mod tasks;
mod token;
mod values;
mod workers;

#[cfg(test)]
mod reference;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::{
    batch::{
        BatchArguments, BatchAttachArguments, BatchCancelArguments, BatchCommand, BatchView,
        BatchesArguments, Format, PlanOptions,
    },
    demo::{DemoArguments, StandInArguments},
    doctor::DoctorArguments,
    gates::{GateCommand, GateOpenArguments, GatesArguments},
    operate::{
        ConfigCheckArguments, ConfigCommand, ConfigShowArguments, DrainArguments, ReloadArguments,
    },
    reports::ReportOptions,
    status::StatusArguments,
    task::{AgentOption, RunArguments, TaskOptions},
    tasks::{AttachArguments, ControlArguments, LogsArguments, PsArguments},
    token::{TokenCommand, TokenNewArguments},
    values::duration,
    workers::{WorkersArguments, WorkersCommand, WorkersRestartArguments},
};

const EXAMPLES: &str = "\
Examples:
  ccx demo                                  50 tasks, good and bad ones; no model is called
  ccx doctor                                what is ready for a night, and what is not
  ccx run -- sh -c 'make test'              any program, with a clean end
  ccx run --prompt 'What is 2+2?'           one Claude task; prints the answer
  ccx batch tasks.md                        the items of a Markdown list, one after another
  ccx --url ws://127.0.0.1:8003 run -- id   the same by a supervisor that already runs
  ccx run --detach -- make                  leaves the task to that supervisor and prints its id
  ccx status                                how that supervisor is
  ccx ps                                    what runs there; then `ccx attach ID`, `ccx cancel ID`
  ccx batch --detach tasks.md               leaves the batch to it; then `ccx batches`,
                                            `ccx batch attach ID`, `ccx batch cancel ID`";

/// Global options are listed after those of the command.
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
    /// Certificates, as PEM, that a supervisor at wss:// must be signed by, instead of the system's
    #[arg(
        long,
        global = true,
        env = "CC_EXECUTOR_CA",
        value_name = "FILE",
        display_order = GLOBAL_ORDER
    )]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Certificate, as PEM, to show to a supervisor that wants one
    #[arg(long, global = true, value_name = "FILE", requires = "tls_key", display_order = GLOBAL_ORDER)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of that certificate, as PEM
    #[arg(long, global = true, value_name = "FILE", requires = "tls_cert", display_order = GLOBAL_ORDER)]
    pub(crate) tls_key: Option<PathBuf>,
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
    /// List the gates of accounts: which a usage limit has shut, until when, and how many tasks wait
    Gates(GatesArguments),
    /// Open the gate of an account whose limit is over before its time
    #[command(subcommand)]
    Gate(GateCommand),
    /// List workers with what their tasks use, or restart them
    Workers(WorkersArguments),
    /// Show how a supervisor is: what is wrong, what runs, what is left; the exit code says it too
    Status(StatusArguments),
    /// List tasks
    Ps(PsArguments),
    /// Show a task from its beginning, then live, to its end
    Attach(AttachArguments),
    /// Print what a task has printed
    Logs(LogsArguments),
    /// End tasks, with everything that they started
    Cancel(ControlArguments),
    /// Stop tasks until they are resumed; their clocks stop too
    Pause(ControlArguments),
    /// Continue paused tasks
    Resume(ControlArguments),
    /// Show, check or begin a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Have a running supervisor read its configuration and its tokens again
    Reload(ReloadArguments),
    /// Let a running supervisor run empty: no new tasks, until `undrain` or a restart
    Drain(DrainArguments),
    /// End a drain: tasks are started again
    Undrain,
    /// Run good and bad tasks with a stand-in agent, to see what this is for
    Demo(DemoArguments),
    /// Check what tasks need before the first night; no model is called
    Doctor(DoctorArguments),
    /// Make tokens for a supervisor that wants them
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print the environment of a task
    #[command(hide = true)]
    DoctorProbe,
    /// Answer like `claude -p` without calling a model
    #[command(hide = true)]
    StandInAgent(StandInArguments),
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
}
