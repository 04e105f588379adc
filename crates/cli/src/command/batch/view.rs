//! What a batch shows on this command's streams, and its reports.

use std::{collections::BTreeSet, time::Duration};

use cc_protocol::batch::{BatchRow, BatchSummary};

use super::live::Recorder;
use crate::{
    args::BatchView,
    command::finish,
    display::{
        batch_row,
        summary::{self, Conclusion},
        task::Task,
        terminal,
    },
    error::CommandError,
    exit_code,
    reports::{AccountEnd, Entry, Past, ReportPaths, Reports},
};

/// What is shown and written of a batch.
pub(in crate::command) struct BatchOutput {
    pub(super) view: BatchView,
    pub(super) reports: Reports,
    pub(super) succeeded_before: usize,
}

impl BatchOutput {
    pub(in crate::command) fn open(
        view: BatchView,
        wanted: &ReportPaths,
        name: &str,
        tasks: &[Task],
        left_out: &[Task],
        past: Option<Past>,
    ) -> Result<Self, CommandError> {
        let reports = Reports::open(wanted, name, tasks, left_out, past)?;
        Ok(Self { view, reports, succeeded_before: 0 })
    }

    pub(super) fn fail(self, failure: CommandError) -> CommandError {
        self.reports.finish(AccountEnd {
            elapsed: Duration::ZERO,
            stopped: Some(failure.to_string()),
            left_behind: Some(0),
        });
        failure
    }

    /// Nothing was left to run.
    pub(super) fn conclude_nothing(self) -> u8 {
        let is_json = self.view.json;
        let code = self.conclude(&Conclusion::of_nothing(), None);
        if !is_json {
            terminal::print("nothing to run\n");
        }
        code
    }

    /// Prints table and summary, completes the reports, and chooses the exit code.
    pub(super) fn conclude(self, conclusion: &Conclusion, own_code: Option<u8>) -> u8 {
        let end = &conclusion.end;
        let batch_id = self.reports.batch_id().map(str::to_owned);
        let are_reports_whole = self.reports.finish(AccountEnd {
            elapsed: end.elapsed,
            stopped: end.stopped.clone(),
            left_behind: conclusion.left_behind.as_ref().map(BTreeSet::len),
        });
        if self.view.json {
            let batch_id = batch_id.as_deref();
            let summary = summary::summary_json(conclusion, batch_id, self.succeeded_before);
            terminal::print(&format!("{summary}\n"));
        } else if !end.rows.is_empty() {
            finish::print(conclusion, None);
        }
        let code = own_code.unwrap_or_else(|| {
            let (failures, not_run) = conclusion.failures();
            exit_code::of_batch(failures, not_run, conclusion.is_something_left())
        });
        match finish::exit_code(conclusion, code) {
            0 if !are_reports_whole => exit_code::OWN_FAILURE,
            code => code,
        }
    }
}

impl Recorder for BatchOutput {
    fn wants_whole_results(&self) -> bool {
        self.view.json || self.reports.has_results()
    }

    fn ended(&mut self, task: &Task, row: &BatchRow) {
        let entry = Entry::new(task, row);
        if self.view.json {
            terminal::print(&format!("{}\n", entry.json()));
        }
        self.reports.record(entry, &batch_row::shown(task, Some(row)));
    }

    fn skipped(&mut self, task: &Task, why: &str) {
        self.reports.skip(task.number, why);
    }

    fn stands(&mut self, batch: &BatchSummary) {
        self.reports.settle(batch);
    }
}
