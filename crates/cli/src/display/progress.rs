//! What is seen while a batch runs, on stderr: a bar on a terminal, else a line a task.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::{row::Row, terminal, text};

/// Interval of the bar's clock.
const TICK: Duration = Duration::from_millis(200);
/// More than any terminal is wide.
const SHOWN_CHARS_LIMIT: usize = 400;
/// Beginning of the title before each line of a task's output.
const OUTPUT_TITLE_COLUMNS: usize = 20;
/// Two lines: how far it is, and the last line of output.
const TEMPLATE: &str = "{bar:24} {pos}/{len}  {elapsed_precise}  {prefix}\n{spinner} {wide_msg}";

#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    ended: usize,
    failed: usize,
    view: View,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// For so many tasks; `is_quiet` shows nothing.
    pub(crate) fn new(total: usize, is_quiet: bool) -> Self {
        let view = if is_quiet {
            View::Nothing
        } else if std::io::stderr().is_terminal() {
            View::Bar(bar(total))
        } else {
            View::Lines
        };
        Self { total, ended: 0, failed: 0, view }
    }

    /// The state of the batch, in the two lines of the bar.
    pub(crate) fn show(&self, counts: &str, doing: &str) {
        if let View::Bar(bar) = &self.view {
            bar.set_prefix(counts.to_owned());
            bar.set_message(text::one_line(doing, SHOWN_CHARS_LIMIT));
        }
    }

    /// A line of `ccx` itself.
    pub(crate) fn note(&self, line: &str) {
        match &self.view {
            View::Bar(bar) => bar.println(line),
            View::Lines => terminal::note(line),
            View::Nothing => {}
        }
    }

    /// A line of `ccx` itself that the bar shows, too.
    pub(crate) fn line(&self, line: &str) {
        match &self.view {
            View::Lines => self.note(line),
            View::Bar(_) | View::Nothing => {}
        }
    }

    /// A line of a task's output.
    pub(crate) fn output(&self, title: &str, line: &str) {
        self.note(&format!("{}| {line}", text::one_line(title, OUTPUT_TITLE_COLUMNS)));
    }

    /// The task has ended.
    pub(crate) fn end(&mut self, row: &Row) {
        self.ended += 1;
        self.failed += usize::from(!row.is_success());
        let line = format!("[{}/{}] {}", self.ended, self.total, row_line(row));
        match &self.view {
            View::Bar(bar) => {
                if !row.is_success() || !row.warnings.is_empty() {
                    bar.println(line);
                }
                bar.inc(1);
                bar.set_prefix(self.counts());
            }
            View::Lines => terminal::note(&line),
            View::Nothing => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }

    fn counts(&self) -> String {
        let succeeded = self.ended - self.failed;
        format!("{succeeded} succeeded, {} failed", self.failed)
    }
}

fn bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// `succeeded 1.2 s  label`.
fn row_line(row: &Row) -> String {
    let title = text::one_line(&row.title, SHOWN_CHARS_LIMIT);
    let verdict = row.verdict_with_warnings();
    let duration = row.duration.map(|duration| format!(" {}", text::duration(duration)));
    let remark = row.remark.as_deref().or(row.warnings.first().map(String::as_str));
    let error = remark.map(|remark| format!(": {}", text::one_line(remark, SHOWN_CHARS_LIMIT)));
    let error = error.unwrap_or_default();
    format!("{verdict}{}  {title}{error}", duration.unwrap_or_default())
}
