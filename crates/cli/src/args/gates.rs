//! Options of `gates` and `gate`.

use clap::{Args, Subcommand};

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
