//! Options of `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::task::AgentOption;

const DOCTOR_HELP: &str = "\
Checks the programs, the settings, the agent and its login, how tasks are contained, the limits of files,
processes, memory and pipes, the clock, the disk, and whether a supervisor answers or who has its port. A private supervisor starts three small tasks for that, so
that what is said is what tasks of this shell get; a supervisor that runs as a service may have
another environment. No model is called and nothing is spent; whether the API takes the login is
not asked.

A line for each check: ok, warn, fail, or skip where the check could not be made; what was looked
at; what was found, and what to do about it.

Examples:
  ccx doctor
  ccx doctor --agent /opt/claude/bin/claude
  ccx --url ws://127.0.0.1:8003 doctor --json | jq -r 'select(.level == \"fail\") | .found'

Exit status: 0 if no check failed, 1 otherwise.";

#[derive(Debug, Args)]
#[command(after_help = DOCTOR_HELP)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) agent: AgentOption,
    /// State directory of the supervisor that is to run [default: as cc-supervisor has it]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print an object of JSON for each check instead of a line
    #[arg(long)]
    pub(crate) json: bool,
}
