//! Options of `workers`.

use clap::{Args, Subcommand};

/// What to list of workers, or what to do with them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WorkersArguments {
    #[command(subcommand)]
    pub(crate) command: Option<WorkersCommand>,
    /// Print an object of JSON for each worker instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with workers.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// Replace workers and the worker program: the tasks that follow get the program that is installed now
    Restart(WorkersRestartArguments),
}

/// Which workers to restart, and what becomes of their tasks.
#[derive(Debug, Args)]
pub(crate) struct WorkersRestartArguments {
    /// Tasks, as `ccx workers` shows them, or beginnings of their ids
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<String>,
    /// All workers
    #[arg(long)]
    pub(crate) all: bool,
    /// Let the tasks run to their ends, which is the default
    #[arg(long, conflicts_with = "now")]
    pub(crate) graceful: bool,
    /// End the tasks: those of a batch are run again, the others end as worker_restarted
    #[arg(long)]
    pub(crate) now: bool,
}
