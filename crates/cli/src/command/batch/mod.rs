//! `ccx batch`: the tasks of a file as a batch of a supervisor, looked at from here.
//!
//! Modules in the order of a batch: `plan` makes of file and command line what `submit` submits, `caution` looks where its
//! tasks would run; `list`
//! and `look` find those that are there already. `follow` says all that is to be said of one, `live`
//! follows it to its end, with `held` for what waits for its whole result, `question` for Ctrl-C, `status` for what is said meanwhile, `row` and `shown` for
//! table and reports. The supervisor decides everything: order,
//! retries, waits, halting. A private one ends with this command, and its batch with it.

mod attach;
pub(crate) mod list;

mod caution;
mod plan;
mod submit;

mod follow;
mod interrupt_prompt;
mod live;
mod pending_output;
mod row;
pub(crate) mod status;
mod view;

use std::{path::PathBuf, time::Duration};

use cc_client::Reconnect;
use cc_protocol::batch::ResumeOnly;

#[cfg(test)]
pub(crate) use self::row::shown;
use crate::{
    args::{BatchArguments, BatchCommand, ServerOptions},
    error::Failure,
    reports::Which,
};

/// How long a connection to a supervisor that stays is tried again: it may be restarted meanwhile, and the
/// batch goes on without this command anyhow.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

fn reconnect() -> Reconnect {
    Reconnect { patience: Some(PATIENCE), ..Reconnect::default() }
}

/// Runs the command to its exit code.
pub(crate) async fn run(
    options: ServerOptions,
    mut arguments: BatchArguments,
) -> Result<u8, Failure> {
    match arguments.command.take() {
        Some(BatchCommand::Attach(arguments)) => return attach::attach(options, arguments).await,
        Some(BatchCommand::Cancel(arguments)) => return list::cancel(options, arguments).await,
        None => {}
    }
    match Resume::of(&arguments)? {
        Some(Resume::Batch { typed, only }) => {
            attach::resume(options, &arguments, &typed, only).await
        }
        Some(Resume::Joblog { path, which }) => {
            submit::submit(options, arguments, Some((path, which))).await
        }
        None => submit::submit(options, arguments, None).await,
    }
}

/// What is gone on with.
enum Resume {
    Batch { typed: String, only: ResumeOnly },
    Joblog { path: PathBuf, which: Which },
}

impl Resume {
    fn of(arguments: &BatchArguments) -> Result<Option<Self>, Failure> {
        let (typed, only, which) = match (&arguments.resume, &arguments.resume_failed) {
            (Some(typed), _) => (typed, ResumeOnly::Unsuccessful, Which::NotSucceeded),
            (None, Some(typed)) => (typed, ResumeOnly::Failed, Which::Failed),
            (None, None) => return Ok(None),
        };
        let path = PathBuf::from(typed);
        if path.exists() || !is_id_like(typed) {
            if arguments.file.is_none() {
                return Err(Failure::usage(format!(
                    "{typed}: a joblog is gone on with together with its task file: ccx batch FILE --resume {typed}"
                )));
            }
            return Ok(Some(Self::Joblog { path, which }));
        }
        if arguments.file.is_some() {
            return Err(Failure::usage(format!(
                "{typed} is no file, and a batch is resumed by its id without a task file: the supervisor has its tasks"
            )));
        }
        Ok(Some(Self::Batch { typed: typed.clone(), only }))
    }
}

/// Whether it can be a part of a batch's id.
fn is_id_like(typed: &str) -> bool {
    const ID_CHARS: usize = 36;
    (1..=ID_CHARS).contains(&typed.len())
        && typed.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Who detaches writes no reports.
fn refuse_reports_of_nobody(arguments: &BatchArguments) -> Result<(), Failure> {
    if arguments.reports.is_any() {
        return Err(Failure::usage(
            "reports are written by whoever is attached; leave --detach away, or write them later: ccx batch attach ID --report FILE",
        ));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use cc_protocol::batch::{BatchCounts, BatchRow, BatchState, BatchSummary, RowState};
    use clap::Parser as _;

    use super::*;
    use crate::args::{Arguments, Command};

    /// A running batch of ten tasks.
    pub(crate) fn summary(batch_id: &str) -> BatchSummary {
        BatchSummary {
            batch_id: batch_id.to_owned(),
            name: None,
            state: BatchState::Running,
            outcome: None,
            reason: None,
            counts: BatchCounts {
                tasks: 10,
                waiting: 6,
                running: 1,
                succeeded: 2,
                failed: 1,
                ..BatchCounts::default()
            },
            jobs: 1,
            cost_usd: 0.25,
            input_tokens: 12_345,
            output_tokens: 678,
            cache_read_tokens: 0,
            cache_creation_tokens: 0,
            unknown_costs: 0,
            warnings: 0,
            retries: 0,
            killed_leftovers: 0,
            submitted_ms: 1_000,
            started_ms: Some(1_000),
            ended_ms: None,
            waits: None,
            running: Vec::new(),
        }
    }

    /// A task whose turn has not come.
    pub(crate) fn row(index: u64) -> BatchRow {
        BatchRow {
            index,
            name: None,
            label: None,
            title: format!("task {index}"),
            state: RowState::Waiting,
            verdict: None,
            reason: None,
            exit_code: None,
            error: None,
            why: None,
            attempts: Vec::new(),
            result: None,
            result_truncated: false,
            is_error: None,
            cost_usd: None,
            unknown_costs: 0,
            input_tokens: 0,
            output_tokens: 0,
            cache_read_tokens: 0,
            cache_creation_tokens: 0,
            num_turns: None,
            usage: None,
            claude_session_id: None,
            warnings: Vec::new(),
            structured_output: None,
            startup_failure_reason: None,
            api_error: None,
            permission_denials: Vec::new(),
            parts: Vec::new(),
            cli_version: None,
            api_key_source: None,
            duration_ms: None,
            killed_leftovers: 0,
            timeout_s: None,
            timeout_why: None,
        }
    }

    fn resumed(line: &[&str]) -> Result<Option<&'static str>, Failure> {
        let line = [&["ccx", "batch"], line].concat();
        let Command::Batch(arguments) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        Ok(Resume::of(&arguments)?.map(|resume| match resume {
            Resume::Batch { .. } => "batch",
            Resume::Joblog { .. } => "joblog",
        }))
    }

    #[test]
    fn an_id_is_resumed_without_a_file_and_a_joblog_with_one() {
        assert_eq!(resumed(&["tasks.txt"]).unwrap(), None);
        assert_eq!(resumed(&["--resume", "0199f3a2"]).unwrap(), Some("batch"));
        assert_eq!(resumed(&["tasks.txt", "--resume", "night.joblog"]).unwrap(), Some("joblog"));
        let failure = resumed(&["--resume-failed", "night.joblog"]).unwrap_err();
        assert!(failure.text.contains("ccx batch FILE --resume night.joblog"), "{failure}");
        let failure = resumed(&["tasks.txt", "--resume", "0199f3a2"]).unwrap_err();
        assert!(failure.text.contains("without a task file"), "{failure}");
    }
}
