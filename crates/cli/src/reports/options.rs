//! Which reports are wanted, by the command line and by the task file.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::Args;

use super::resume::Which;
use crate::{error::Failure, input::FileOptions};

/// Files that a batch writes, and the one that it goes on with.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct ReportOptions {
    /// A line a task with GNU parallel's columns, for --resume
    #[arg(long, value_name = "FILE")]
    pub(crate) joblog: Option<PathBuf>,
    /// All that is known of each task, an object of JSON a line
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
    /// JUnit XML, for continuous integration
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Markdown for people: totals, a table, what failed, why, and what to do
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// The same, settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) joblog: Option<PathBuf>,
    pub(crate) results: Option<PathBuf>,
    pub(crate) junit: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    /// Which tasks of which joblog are to run; `joblog` is the same file then.
    pub(crate) resume: Option<(PathBuf, Which)>,
}

impl ReportOptions {
    /// Whether any file is wanted.
    pub(crate) fn is_any(&self) -> bool {
        let Self { joblog, results, junit, report } = self;
        [joblog, results, junit, report].into_iter().any(Option::is_some)
    }

    /// What the command line says comes before what the file says. A joblog that is gone on with is the
    /// joblog of this run, too.
    pub(crate) fn settle(
        &self,
        file: &FileOptions,
        resume: Option<(PathBuf, Which)>,
    ) -> Result<Wanted, Failure> {
        let own_or = |own: &Option<PathBuf>, of_file: &Option<PathBuf>| {
            own.as_ref().or(of_file.as_ref()).cloned()
        };
        if let (Some((resumed, _)), Some(joblog)) = (&resume, &self.joblog)
            && resumed != joblog
        {
            return Err(Failure::usage(
                "a resumed joblog is gone on with; leave --joblog away, or give the same file",
            ));
        }
        let joblog = match &resume {
            Some((path, _)) => Some(path.clone()),
            None => own_or(&self.joblog, &file.joblog),
        };
        let wanted = Wanted {
            joblog,
            results: own_or(&self.results, &file.results),
            junit: own_or(&self.junit, &file.junit),
            markdown: own_or(&self.report, &file.report),
            resume,
        };
        wanted.check_distinct()?;
        Ok(wanted)
    }
}

impl Wanted {
    /// Whether any file is wanted.
    pub(crate) fn is_any(&self) -> bool {
        let Self { joblog, results, junit, markdown, resume: _ } = self;
        [joblog, results, junit, markdown].into_iter().any(Option::is_some)
    }

    /// Where the reports are written.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let paths = [&self.joblog, &self.results, &self.junit, &self.markdown];
        paths.into_iter().filter_map(Option::as_deref)
    }

    /// A report in the place of the plan would destroy it.
    pub(crate) fn check_apart_from(&self, task_file: &Path) -> Result<(), Failure> {
        match self.paths().find(|path| is_same_file(path, task_file)) {
            Some(path) => Err(Failure::usage(format!(
                "{} is the task file, and a report would be written over it; name another file",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    fn check_distinct(&self) -> Result<(), Failure> {
        let paths: Vec<&Path> = self.paths().collect();
        for (index, path) in paths.iter().enumerate() {
            if paths.iter().take(index).any(|other| is_same_file(other, path)) {
                return Err(Failure::usage(format!(
                    "{} is named for two reports; give each its own file",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

/// Whether two paths lead to one file, by whatever names and links.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    one == other || identity(one).is_some_and(|one| identity(other) == Some(one))
}
