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
pub(super) mod submit;

pub(super) mod follow;
mod interrupt_prompt;
pub(super) mod live;
mod pending_output;
mod status;
pub(super) mod view;

use std::{path::PathBuf, time::Duration};

use cc_client::Reconnect;
use cc_protocol::batch::ResumeOnly;

use crate::{
    args::{BatchArguments, BatchCommand, ServerOptions},
    error::CommandError,
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
) -> Result<u8, CommandError> {
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
    fn of(arguments: &BatchArguments) -> Result<Option<Self>, CommandError> {
        let (typed, only, which) = match (&arguments.resume, &arguments.resume_failed) {
            (Some(typed), _) => (typed, ResumeOnly::Unsuccessful, Which::NotSucceeded),
            (None, Some(typed)) => (typed, ResumeOnly::Failed, Which::Failed),
            (None, None) => return Ok(None),
        };
        let path = PathBuf::from(typed);
        if path.exists() || !is_id_like(typed) {
            if arguments.file.is_none() {
                return Err(CommandError::usage(format!(
                    "{typed}: a joblog is gone on with together with its task file: ccx batch FILE --resume {typed}"
                )));
            }
            return Ok(Some(Self::Joblog { path, which }));
        }
        if arguments.file.is_some() {
            return Err(CommandError::usage(format!(
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
fn refuse_reports_of_nobody(arguments: &BatchArguments) -> Result<(), CommandError> {
    if arguments.reports.is_any() {
        return Err(CommandError::usage(
            "reports are written by whoever is attached; leave --detach away, or write them later: ccx batch attach ID --report FILE",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Arguments, Command};

    fn resumed(line: &[&str]) -> Result<Option<&'static str>, CommandError> {
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
        assert!(failure.to_string().contains("ccx batch FILE --resume night.joblog"), "{failure}");
        let failure = resumed(&["tasks.txt", "--resume", "0199f3a2"]).unwrap_err();
        assert!(failure.to_string().contains("without a task file"), "{failure}");
    }
}
