//! Options of the commands for operators of a running supervisor: `reload`, `drain`, `undrain`, and of `config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::duration;

const CONFIG_HELP: &str = "\
Without --url: what a cc-supervisor would have that is started from this shell. With it: what is in force there.
A service has another environment than this shell: ask it, or run this with its variables.

Examples:
  ccx config show --origin                  every setting, its value, and where that comes from
  ccx --url ws://127.0.0.1:8003 config show what is in force in a running supervisor
  ccx config check /etc/cc-executor/config.toml
  ccx config default > config.toml          a file to begin with; every line is commented out";

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
#[command(after_help = CONFIG_HELP)]
pub(crate) enum ConfigCommand {
    /// Show every setting with its value
    Show(ConfigShowArguments),
    /// Find mistakes in the configuration files, or in one more
    Check(ConfigCheckArguments),
    /// Print a configuration file with every setting, its default and its limits
    Default,
}

/// What to show of the settings.
#[derive(Debug, Args)]
pub(crate) struct ConfigShowArguments {
    /// Say where each value comes from: the line of a file, a variable, an option, or the default
    #[arg(long)]
    pub(crate) origin: bool,
    /// Print an object of JSON for each setting instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArguments {
    /// A file that would be used beside those of the system and the user
    pub(crate) file: Option<PathBuf>,
}

const RELOAD_HELP: &str = "\
The supervisor reads its configuration files and tokens again. If anything is wrong with them, nothing changes.
What takes a restart keeps its old value, and is listed.

Exit status: 0 if the configuration was read, 1 if it has mistakes.";

/// How to print what a reload has changed.
#[derive(Debug, Args)]
#[command(after_help = RELOAD_HELP)]
pub(crate) struct ReloadArguments {
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DRAIN_HELP: &str = "\
No new task is started and no batch accepted; what runs goes on to its end, and batches wait. Then the
supervisor can be stopped without a task being ended. Batches go on after `ccx undrain`, or with the next
supervisor, which starts without the drain.

Exit status: 0 when nothing runs, 124 if something still runs at the timeout (it is listed, and the drain
goes on), 1 if somebody has ended the drain meanwhile.";

/// How long to wait for the end of what runs.
#[derive(Debug, Args)]
#[command(after_help = DRAIN_HELP)]
pub(crate) struct DrainArguments {
    /// Wait no longer than this, such as 90s, 10m or 2h [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<f64>,
    /// Begin, and do not wait
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,
}
