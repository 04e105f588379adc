//! What the arguments of `ccx batch` ask for, where that needs a second look.

use std::path::PathBuf;

use cc_protocol::batch::ResumeOnly;

use crate::{args::BatchArguments, error::CommandError, reports::Which};

pub(super) enum Resume {
    Batch { typed: String, only: ResumeOnly },
    Joblog { path: PathBuf, which: Which },
}

impl Resume {
    /// `--resume` and `--resume-failed` take the id of a batch or the path of a joblog.
    pub(super) fn of(arguments: &BatchArguments) -> Result<Option<Self>, CommandError> {
        let (typed, only, which) = match (&arguments.resume, &arguments.resume_failed) {
            (Some(typed), _) => (typed, ResumeOnly::Unsuccessful, Which::NotSucceeded),
            (None, Some(typed)) => (typed, ResumeOnly::Failed, Which::Failed),
            (None, None) => return Ok(None),
        };
        let path = PathBuf::from(typed);
        if path.exists() || !is_id_like(typed) {
            if arguments.file.is_none() {
                return Err(CommandError::usage(format!(
                    "{typed}: a joblog is resumed together with its task file: ccx batch FILE --resume {typed}"
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

/// Whether it may be a part of a batch's id.
fn is_id_like(typed: &str) -> bool {
    const ID_CHARS: usize = 36;
    (1..=ID_CHARS).contains(&typed.len())
        && typed.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A command that detaches is not there to write reports.
pub(super) fn refuse_reports_of_detached(arguments: &BatchArguments) -> Result<(), CommandError> {
    if arguments.reports.is_any() {
        return Err(CommandError::usage(
            "reports are written by the command that follows the batch; omit --detach, or write them later: ccx batch attach ID --report FILE",
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
