//! Which reports are written, by the command line and by the task file.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::resume::Which;
use crate::{args::ReportOptions, error::CommandError, input::FileOptions};

/// The same, settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportPaths {
    pub(crate) joblog: Option<PathBuf>,
    pub(crate) results: Option<PathBuf>,
    pub(crate) junit: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    /// Which tasks of which joblog are to run; `joblog` is the same file then.
    pub(crate) resume: Option<(PathBuf, Which)>,
}

impl ReportPaths {
    /// What the command line says comes before what the file says. A resumed joblog is the
    /// joblog of this run, too.
    pub(crate) fn settle(
        own: &ReportOptions,
        file: &FileOptions,
        resume: Option<(PathBuf, Which)>,
    ) -> Result<Self, CommandError> {
        let own_or = |own: &Option<PathBuf>, of_file: &Option<PathBuf>| {
            own.as_ref().or(of_file.as_ref()).cloned()
        };
        if let (Some((resumed, _)), Some(joblog)) = (&resume, &own.joblog)
            && resumed != joblog
        {
            return Err(CommandError::usage(
                "a resumed joblog is also the joblog of this run; omit --joblog, or give the same file",
            ));
        }
        let joblog = match &resume {
            Some((path, _)) => Some(path.clone()),
            None => own_or(&own.joblog, &file.joblog),
        };
        let wanted = Self {
            joblog,
            results: own_or(&own.results, &file.results),
            junit: own_or(&own.junit, &file.junit),
            markdown: own_or(&own.report, &file.report),
            resume,
        };
        wanted.check_distinct()?;
        Ok(wanted)
    }

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
    pub(crate) fn check_apart_from(&self, task_file: &Path) -> Result<(), CommandError> {
        match self.paths().find(|path| is_same_file(path, task_file)) {
            Some(path) => Err(CommandError::usage(format!(
                "{} is the task file, and a report would be written over it; name another file",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    fn check_distinct(&self) -> Result<(), CommandError> {
        let paths: Vec<&Path> = self.paths().collect();
        for (index, path) in paths.iter().enumerate() {
            if paths.iter().take(index).any(|other| is_same_file(other, path)) {
                return Err(CommandError::usage(format!(
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
