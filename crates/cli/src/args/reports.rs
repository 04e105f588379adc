//! Options for the files that a batch writes.

use std::path::PathBuf;

use clap::Args;

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

impl ReportOptions {
    /// Whether any file is wanted.
    pub(crate) fn is_any(&self) -> bool {
        let Self { joblog, results, junit, report } = self;
        [joblog, results, junit, report].into_iter().any(Option::is_some)
    }
}
