//! Options of `status`.

use clap::Args;

use crate::args::duration;

/// How to show it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 it is well, 1 degraded, 2 it starts no new tasks, 125 it cannot be reached."
)]
pub(crate) struct StatusArguments {
    /// Print an object of JSON instead of the screen
    #[arg(long)]
    pub(crate) json: bool,
    /// Show it again and again, so long apart, such as 5s, until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1, default_missing_value = "5s")]
    pub(crate) watch: Option<f64>,
}
