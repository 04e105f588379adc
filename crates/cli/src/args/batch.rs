//! Options of the commands for batches.

use std::path::PathBuf;

use cc_batch::{
    limits,
    plan::{Halt, OnAuthRefused, OnLost, Timeout},
};
use clap::{Args, Subcommand, ValueEnum};

use super::{
    reports::ReportOptions,
    task::{AgentOption, TaskOptions},
    values::{amount, auth, duration, timeout, word},
};

const BATCH_HELP: &str = "\
Files:
  .txt    a prompt a line; empty lines and comments (a # alone, or with a space after it) are skipped
  .md     each check box that is open is a prompt, with everything nested in it, or each item of a
          list where there are no boxes, or each heading such as `### Task 3: ...` with its text;
          headings become the beginning of the label
  FOLDER  each .md and .txt file in it is a prompt, in the order of their names
  .jsonl  an object a line, with the parameters of `execute`: one of prompt, argv and command, and
          cwd, env, timeout, idle_timeout, label, model, allowed_tools, ...; and name, needs,
          retries, allow_failure, retry_timed_out, timeout \"auto\"
  .json   a list of such objects, or an object that has one as tasks or userStories; also with id,
          blocked_by, status, passes, repo, title, description, acceptanceCriteria
  .toml   the same as [[tasks]], with [defaults] for all of them and [options] for the batch
A task may use the result of one before it: {{tasks.NAME.result}}, {{prev.result}}.
All mistakes of a file are reported with line and column before anything runs (exit status 2); what
looks like a task and is not run is noted with its lines.

Without --url (CC_EXECUTOR_URL) the batch runs in a private supervisor and ends with this command. With
it, the batch belongs to that supervisor: Ctrl-C asks whether to leave it running, and a lost
connection, a crash of ccx or of the supervisor do not end it.

Examples:
  ccx batch tasks.txt --agent stand-in
  ccx batch plan.md --cwd ~/project --permission-mode acceptEdits --timeout auto
  ccx batch tasks.jsonl --joblog tasks.joblog --results results.jsonl --report report.md
  ccx batch tasks.jsonl --jobs 3 --halt now,fail=5 --max-cost 20 --max-time 8h
  ccx batch tasks.jsonl --resume tasks.joblog
  printf '%s\\n' 'What is 2+2?' 'And 3+3?' | ccx batch -
  id=$(ccx batch tasks.jsonl --detach); ccx batch attach $id
  ccx batch --resume-failed $id        what failed of a batch of a running supervisor, anew
(A task file that is named attach or cancel is given as ./attach.)

Exit status: 0 if every task succeeded, else how many failed (101 for more than 100), and 1 if none
failed and not all ran; 125 if ccx or the supervisor failed; 127 if the agent is not found; 130 after
Ctrl-C, whether it ended the batch or left it running.";

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

/// Options of `batch`.
#[derive(Debug, Args)]
#[command(
    after_help = BATCH_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    override_usage = "ccx batch [OPTIONS] <FILE>\n       ccx batch [OPTIONS] --resume <ID>\n       ccx batch attach [OPTIONS] <ID>\n       ccx batch cancel <ID>..."
)]
pub(crate) struct BatchArguments {
    #[command(subcommand)]
    pub(crate) command: Option<BatchCommand>,
    /// Task file, a folder of prompts, or `-` for stdin
    #[arg(required_unless_present_any = ["resume", "resume_failed"])]
    pub(crate) file: Option<PathBuf>,
    /// How to read the file [default: by its ending; text for stdin]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) task: TaskOptions,
    #[command(flatten)]
    pub(crate) agent: AgentOption,
    #[command(flatten)]
    pub(crate) plan: PlanOptions,
    #[command(flatten)]
    pub(crate) view: BatchView,
    /// Check the file and show what would run; start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave the batch to a running supervisor (the one of --url, or at ws://127.0.0.1:8003) and print
    /// its id
    #[arg(long, short, conflicts_with_all = ["json", "show_output", "dry_run"])]
    pub(crate) detach: bool,
    /// Run what has not succeeded: of a batch of a running supervisor, or according to this joblog,
    /// to which this run appends
    #[arg(long, value_name = "ID|JOBLOG", conflicts_with = "resume_failed")]
    pub(crate) resume: Option<String>,
    /// The same, but only what failed
    #[arg(long, value_name = "ID|JOBLOG")]
    pub(crate) resume_failed: Option<String>,
    #[command(flatten)]
    pub(crate) reports: ReportOptions,
}

/// What is to be done with a batch that is there.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// Show a batch of a running supervisor, live, to its end
    Attach(BatchAttachArguments),
    /// End batches, with all that they run
    Cancel(BatchCancelArguments),
}

const BATCH_ATTACH_HELP: &str = "\
Examples:
  ccx batch attach 0199f3a2
  ccx batch attach 0199f3a2 --show-output
  ccx batch attach 0199f3a2 --report report.md --results results.jsonl

Any number of terminals may be attached to a batch. Ctrl-C leaves it running. Of a batch that is over
the table and the reports are made all the same. In a joblog that is written here, Command is what the
supervisor shows of a task: for a resume by joblog the file's own run has to write it; a resume by the
batch's id needs none.

Exit status: as of `ccx batch`; 130 after Ctrl-C.";

/// Options of `batch attach`.
#[derive(Debug, Args)]
#[command(after_help = BATCH_ATTACH_HELP)]
pub(crate) struct BatchAttachArguments {
    /// The batch's id, or any beginning or end of it that only one batch has
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) view: BatchView,
    #[command(flatten)]
    pub(crate) reports: ReportOptions,
}

const BATCH_CANCEL_HELP: &str = "\
Prints the whole id of each batch. Running tasks are canceled, and no other task starts; `ccx batch attach`
waits for the end.

Exit status: 0 if every batch was canceled; 1 if one is over or does not exist; 125 if ccx or the
supervisor failed.";

#[derive(Debug, Args)]
#[command(after_help = BATCH_CANCEL_HELP)]
pub(crate) struct BatchCancelArguments {
    /// Their ids, or any beginning or end that only one batch has
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
}

/// How a batch is shown.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct BatchView {
    /// Show what the running tasks print
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    pub(crate) show_output: bool,
    /// Print an object of JSON for each task as it ends, with its answer, and one for the batch
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, only the table
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What holds for a batch as a whole; all of it may stand in `[options]` of a .toml file, too.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Batch")]
pub(crate) struct PlanOptions {
    /// Tasks that are under way at once [default: 1: strictly in order]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::JOBS_LIMIT)))]
    pub(crate) jobs: Option<u32>,
    /// Of these, tasks with a prompt: parallel CLIs race on the login's refresh token [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::JOBS_LIMIT)))]
    pub(crate) claude_jobs: Option<u32>,
    /// When failures stop the batch: never, soon,fail=N (what runs may end), now,fail=N [default: never]
    #[arg(long, value_name = "WHEN", value_parser = word::<Halt>)]
    pub(crate) halt: Option<Halt>,
    /// Stop after the first task that does not succeed: --halt soon,fail=1
    #[arg(long, conflicts_with = "halt")]
    pub(crate) fail_fast: bool,
    /// Run the other tasks after a failure, too: --halt never
    #[arg(long, conflicts_with_all = ["halt", "fail_fast"])]
    pub(crate) keep_going: bool,
    /// Begin no task after so many US dollars were spent, by the CLI's own reckoning
    #[arg(long, value_name = "USD", value_parser = amount)]
    pub(crate) max_cost: Option<f64>,
    /// End the batch after this time: seconds, or a number with s, m, h or d, such as 8h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_time: Option<f64>,
    /// End a task after this many seconds, paused time not counted; auto takes it from earlier runs
    #[arg(long, value_name = "auto|SECONDS", value_parser = timeout)]
    pub(crate) timeout: Option<Timeout>,
    /// Attempts after the first one, if a task failed for a transient reason [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(limits::RETRIES_LIMIT)))]
    pub(crate) retries: Option<u32>,
    /// When a task is lost with its worker and may have had effects: stop, continue, retry
    /// [default: stop]
    #[arg(long, value_name = "WHAT", value_parser = word::<OnLost>)]
    pub(crate) on_lost: Option<OnLost>,
    /// When the CLI reports refused credentials and would keep trying: fail-fast, let-cli-retry
    /// [default: fail-fast]
    #[arg(long, value_name = "WHAT", value_parser = auth)]
    pub(crate) auth: Option<OnAuthRefused>,
    /// Count a task that succeeds with warnings as failed
    #[arg(long)]
    pub(crate) strict: bool,
    /// A name for people [default: the file's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Submitting again with the same key gives the same batch, not a second one
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Command line to run before each task; if it fails, the task has failed
    #[arg(long, value_name = "CMD")]
    pub(crate) before_task: Option<String>,
    /// Command line to run after each task, with CC_EXECUTOR_VERDICT in its environment
    #[arg(long, value_name = "CMD")]
    pub(crate) after_task: Option<String>,
    /// Command line to run at the end, for example to send a notification
    #[arg(long, value_name = "CMD")]
    pub(crate) after_batch: Option<String>,
}

const BATCHES_HELP: &str = "\
Examples:
  ccx batches
  ccx batches --all --json | jq -r 'select(.outcome == \"failed\") | .batch_id'

Exit status: 0; 125 if ccx or the supervisor failed.";

/// Options of `batches`.
#[derive(Debug, Args)]
#[command(after_help = BATCHES_HELP)]
pub(crate) struct BatchesArguments {
    /// Show the batches that are over, too, with their outcome
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Print an object of JSON for each batch instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}
