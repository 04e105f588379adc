//! The files that a batch leaves: joblog, results, JUnit and Markdown.
//!
//! In the order of a batch: `options` says which files are written, `resume` reads the joblog and the results of an
//! earlier run; `entry` is all that is known of a task that ended, with a `remedy` where it failed, and `account` the
//! batch; `joblog`, `junit` and `markdown` render them; `line_log` appends lines to a file, `atomic_file` replaces one.
//!
//! Every file is opened or created before anything runs, so that a wrong path costs no night. A log gets its line when
//! a task ends; the other files are replaced then, never written in place: a `ccx` that is killed leaves readable files.
//! A later failure is reported, and ends no task.

mod account;
mod atomic_file;
mod entry;
mod joblog;
mod junit;
mod line_log;
mod markdown;
mod options;
mod remedy;
pub(crate) mod resume;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use cc_protocol::batch::BatchSummary;

use self::{account::Account, atomic_file::AtomicFile, line_log::LineLog};
pub(crate) use self::{
    account::AccountEnd,
    entry::Entry,
    options::ReportPaths,
    resume::{Past, Ticks, Which, commands},
};
use crate::{
    display::{row::Row, task::Task, terminal, totals::Totals},
    error::CommandError,
};

/// Whole files are replaced after a task unless that would take more than this part of the time.
const REWRITING_SHARE: u32 = 20;

/// The open reports of a batch.
#[derive(Debug)]
pub(crate) struct Reports {
    account: Account,
    joblog: Option<LineLog>,
    results: Option<LineLog>,
    junit: Option<AtomicFile>,
    markdown: Option<AtomicFile>,
    last_rewriting: Option<(Instant, Duration)>,
    troubles: usize,
}

impl Reports {
    /// Opens or creates what is wanted. `past` is the joblog that is resumed, `left_out` what
    /// has not succeeded and is not to run.
    pub(crate) fn open(
        wanted: &ReportPaths,
        name: &str,
        tasks: &[Task],
        left_out: &[Task],
        past: Option<Past>,
    ) -> Result<Self, CommandError> {
        let is_new = past.is_none();
        let (joblog, done) = match past {
            Some(past) => {
                let (log, done) = past.go_on()?;
                (Some(log), done)
            }
            None => {
                let log =
                    wanted.joblog.as_deref().map(|path| LineLog::create(path, joblog::HEADER));
                (log.transpose()?, Vec::new())
            }
        };
        let results = match &wanted.results {
            Some(path) if is_new => Some(LineLog::create(path, "")?),
            Some(path) => Some(LineLog::go_on(path)?),
            None => None,
        };
        let account = Account {
            name: name.to_owned(),
            begun_at: SystemTime::now(),
            planned: names(tasks),
            left_out: names(left_out),
            done,
            entries: Vec::with_capacity(tasks.len()),
            totals: Totals::default(),
            joblog: joblog.as_ref().map(|log| log.path().to_owned()),
            batch_id: None,
            why_not: BTreeMap::new(),
            end: None,
        };
        let reports = Self {
            junit: wanted.junit.as_deref().map(AtomicFile::new).transpose()?,
            markdown: wanted.markdown.as_deref().map(AtomicFile::new).transpose()?,
            account,
            joblog,
            results,
            last_rewriting: None,
            troubles: 0,
        };
        for (file, text) in reports.renderings() {
            file.replace(&text)
                .map_err(|error| CommandError::usage(format!("cannot write {file}: {error}")))?;
        }
        Ok(reports)
    }

    /// The batch has this id at a supervisor that will be there later, too.
    pub(crate) fn name_batch(&mut self, batch_id: &str) {
        self.account.batch_id = Some(batch_id.to_owned());
    }

    /// See [`Reports::name_batch`].
    pub(crate) fn batch_id(&self) -> Option<&str> {
        self.account.batch_id.as_deref()
    }

    /// Whether results are written as long as they are: the other reports show only their beginnings.
    pub(crate) fn has_results(&self) -> bool {
        self.results.is_some()
    }

    /// A task will not run.
    pub(crate) fn skip(&mut self, number: usize, why: &str) {
        self.account.why_not.insert(number, why.to_owned());
    }

    /// How things stand by the supervisor's own count.
    pub(crate) fn settle(&mut self, batch: &BatchSummary) {
        self.account.totals.settle(batch);
    }

    /// A task has ended.
    pub(crate) fn record(&mut self, mut entry: Entry, row: &Row) {
        if let Some(log) = &mut self.results {
            let outcome = log.append(&format!("{}\n", entry.json()));
            self.troubles += tell(&log.to_string(), outcome);
        }
        if let Some(log) = &mut self.joblog
            && let Some(line) = joblog::line(&entry)
        {
            let outcome = log.append(&line);
            self.troubles += tell(&log.to_string(), outcome);
        }
        entry.cut_answer();
        self.account.totals.add(row);
        self.account.entries.push(entry);
        self.rewrite_if_cheap();
    }

    /// The batch has ended. Whether every report is whole.
    pub(crate) fn finish(mut self, end: AccountEnd) -> bool {
        self.account.end = Some(end);
        self.rewrite();
        for log in [&mut self.joblog, &mut self.results].into_iter().flatten() {
            let outcome = log.finish();
            self.troubles += tell(&log.to_string(), outcome);
        }
        self.troubles == 0
    }

    fn rewrite_if_cheap(&mut self) {
        let is_cheap = self
            .last_rewriting
            .is_none_or(|(at, took)| at.elapsed() >= took.saturating_mul(REWRITING_SHARE));
        if is_cheap {
            self.rewrite();
        }
    }

    fn rewrite(&mut self) {
        let begun_at = Instant::now();
        let troubles: usize = self
            .renderings()
            .into_iter()
            .map(|(file, text)| tell(&file.to_string(), file.replace(&text)))
            .sum();
        self.troubles += troubles;
        self.last_rewriting = Some((Instant::now(), begun_at.elapsed()));
    }

    fn renderings(&self) -> Vec<(&AtomicFile, String)> {
        let junit = self.junit.as_ref().map(|file| (file, junit::render(&self.account)));
        let markdown = self.markdown.as_ref().map(|file| (file, markdown::render(&self.account)));
        junit.into_iter().chain(markdown).collect()
    }
}

fn names(tasks: &[Task]) -> Vec<(usize, String)> {
    tasks.iter().map(|task| (task.number, task.title.clone())).collect()
}

/// Says what went wrong at once: who looks at a running batch can still make room. Counts it.
fn tell(file: &str, outcome: std::io::Result<()>) -> usize {
    let Err(error) = outcome else { return 0 };
    terminal::note(&format!("ccx: cannot write {file}: {error}; the batch goes on"));
    1
}

#[cfg(test)]
mod tests;
