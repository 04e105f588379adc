//! What is seen while a batch runs, on stderr: a bar on a terminal, else a line a task.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use cc_protocol::notification::Notification;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::{
    display::{row::Row, text},
    follow::output::retry_line,
};

/// How often the clock of the bar moves while a task is silent.
const TICK: Duration = Duration::from_millis(200);
/// Longest output line that is looked at; what is shown is cut to the terminal's width.
const LOOKED_AT_BYTES_LIMIT: usize = 16 * 1024;
/// More than any terminal is wide.
const SHOWN_CHARS_LIMIT: usize = 400;
/// As much of a title as stands before each line of a task's output.
const OUTPUT_TITLE_COLUMNS: usize = 20;
/// Two lines: how far it is, and the last line of output.
const TEMPLATE: &str = "{bar:24} {pos}/{len}  {elapsed_precise}  {prefix}\n{spinner} {wide_msg}";

/// The progress of one batch.
#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    ended: usize,
    failed: usize,
    title: String,
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
        Self { total, ended: 0, failed: 0, title: String::new(), view }
    }

    /// A task begins.
    pub(crate) fn begin(&mut self, title: &str) {
        title.clone_into(&mut self.title);
        if let View::Bar(bar) = &self.view {
            bar.set_prefix(self.counts());
            bar.set_message(self.title.clone());
        }
    }

    /// Something happened to the task.
    pub(crate) fn hear(&mut self, notification: &Notification<'_>) {
        let View::Bar(bar) = &self.view else { return };
        let line = match notification {
            Notification::Output(output) => digest(&output.data),
            Notification::TaskRetrying(retry) => Some(retry_line(retry)),
            Notification::RateLimited(limit) | Notification::TokenLimited(limit) => {
                Some(text::one_line(&limit.message, SHOWN_CHARS_LIMIT))
            }
            Notification::Canceled(_) => Some("cancelling; Ctrl-C again does not wait".to_owned()),
            Notification::Connected(_)
            | Notification::Started(_)
            | Notification::OutputBatch(_)
            | Notification::Paused(_)
            | Notification::Resumed(_)
            | Notification::Completed(_)
            | Notification::Error(_)
            | Notification::OutputDropped(_)
            | Notification::TaskResult(_)
            | Notification::BatchProgress(_)
            | Notification::BatchCompleted(_) => None,
        };
        if let Some(line) = line {
            bar.set_message(format!("{}  |  {line}", self.title));
        }
    }

    /// How a batch stands: two lines of a terminal.
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
            // As with the rows: nobody may be there to read it.
            View::Lines => drop(writeln!(std::io::stderr(), "{line}")),
            View::Nothing => {}
        }
    }

    /// A line of `ccx` itself that the two lines of a terminal say anyhow.
    pub(crate) fn line(&self, line: &str) {
        match &self.view {
            View::Lines => self.note(line),
            View::Bar(_) | View::Nothing => {}
        }
    }

    /// A line that a task has printed.
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
            // Progress that cannot be written is no reason to stop.
            View::Lines => drop(writeln!(std::io::stderr(), "{line}")),
            View::Nothing => {}
        }
    }

    /// Nothing more comes.
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

/// The part of an agent's stream line that says something to people.
#[derive(Deserialize)]
struct StreamLine {
    message: Option<StreamMessage>,
}

#[derive(Deserialize)]
struct StreamMessage {
    content: Vec<StreamContent>,
}

#[derive(Deserialize)]
struct StreamContent {
    text: Option<String>,
    name: Option<String>,
}

/// An output line as it is shown: plain text as it is, of an agent's stream what the agent says or
/// which tool it uses.
pub(crate) fn digest(data: &str) -> Option<String> {
    if data.len() > LOOKED_AT_BYTES_LIMIT {
        return None;
    }
    if !data.starts_with('{') {
        let line = text::one_line(data, SHOWN_CHARS_LIMIT);
        return (!line.is_empty()).then_some(line);
    }
    let line: StreamLine = serde_json::from_str(data).ok()?;
    let content = line.message?.content.into_iter().next_back()?;
    let said = content.text.or(content.name)?;
    Some(text::one_line(&said, SHOWN_CHARS_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_agents_stream_people_see_what_it_says() {
        let line =
            r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I look\nnow"}]}}"#;
        assert_eq!(digest(line).as_deref(), Some("I look"));
        let tool = r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{}}]}}"#;
        assert_eq!(digest(tool).as_deref(), Some("Bash"));
        assert_eq!(digest(r#"{"type":"system","subtype":"init"}"#), None);
    }

    #[test]
    fn plain_output_is_seen_without_what_would_move_the_cursor() {
        assert_eq!(digest("50 %\u{1b}[1A\r\n").as_deref(), Some("50 %[1A"));
        assert_eq!(digest("\n"), None);
        assert_eq!(digest(&"x".repeat(LOOKED_AT_BYTES_LIMIT + 1)), None);
    }
}
