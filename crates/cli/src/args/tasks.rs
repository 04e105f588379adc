//! Options of the commands for tasks that a standing supervisor runs.

use clap::Args;

const PS_HELP: &str = "\
Examples:
  ccx ps
  ccx ps --all --json | jq -r 'select(.verdict == \"failed\") | .task_id'

Exit status: 0; 125 if ccx or the supervisor failed.";

/// Options of `ps`.
#[derive(Debug, Args)]
#[command(after_help = PS_HELP)]
pub(crate) struct PsArguments {
    /// Show the tasks that have ended, too, with their verdict
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Print an object of JSON for each task instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

const ATTACH_HELP: &str = "\
Examples:
  ccx attach 0199f3a2-8001-7abc-9def-0123456789ab
  ccx attach 6789ab --since-seq 1200

Any number of terminals may be attached to a task. Ctrl-C leaves it running.

Exit status: the task's own, as `ccx run` has it; 125 if ccx or the supervisor failed or there is no
such task; 130 after Ctrl-C.";

/// Options of `attach`.
#[derive(Debug, Args)]
#[command(after_help = ATTACH_HELP)]
pub(crate) struct AttachArguments {
    /// The task's id, or any beginning or end of it that only one task has
    pub(crate) id: String,
    /// Show what came after the event with this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) since_seq: u64,
}

const LOGS_HELP: &str = "\
Examples:
  ccx logs 6789ab | grep -i error
  ccx logs -f 6789ab
  ccx logs --json 6789ab | jq .method

What the task printed on stdout goes to stdout, what it printed on stderr to stderr; of a prompt the
answer goes to stdout. Logs stay until the supervisor's retention removes them.

Exit status: 0 whatever became of the task; 125 if ccx or the supervisor failed or there is no such
task; 130 after Ctrl-C.";

/// Options of `logs`.
#[derive(Debug, Args)]
#[command(after_help = LOGS_HELP)]
pub(crate) struct LogsArguments {
    /// The task's id, or any beginning or end of it that only one task has
    pub(crate) id: String,
    /// Continue with new output until the task ends
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print what came after the event with this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) since_seq: u64,
    /// Print every notification of the task as a line of JSON instead of its output
    #[arg(long)]
    pub(crate) json: bool,
}

const CONTROL_HELP: &str = "\
Example:
  ccx pause 6789ab && ccx resume 6789ab && ccx cancel 6789ab

Prints the whole id of each task and what was done. A canceled task gets SIGTERM, and SIGKILL after
the supervisor's grace; `ccx attach` waits for its end.

Exit status: 0 if every task could be controlled; 1 if one has ended or does not exist; 125 if ccx or the
supervisor failed.";

#[derive(Debug, Args)]
#[command(after_help = CONTROL_HELP)]
pub(crate) struct ControlArguments {
    /// The tasks' ids, or any beginnings or ends of them that only one task has
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
}
