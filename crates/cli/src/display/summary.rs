//! What a batch says below its table, and as JSON instead. Text only; prints nothing.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    row::{Fate, Row},
    text,
    totals::Totals,
};
use crate::error::CommandError;

/// How many process ids are listed.
const SHOWN_PROCESSES_LIMIT: usize = 20;
/// How many tasks' errors are listed.
const SHOWN_REMARKS_LIMIT: usize = 20;
/// Smallest width of a terminal.
const REMARK_COLUMNS: usize = 80;

/// How a batch ended, as far as this command has seen it.
#[derive(Debug)]
pub(crate) struct End {
    /// One for each task.
    pub(crate) rows: Vec<Row>,
    pub(crate) totals: Totals,
    /// Of every task that was started.
    pub(crate) task_ids: Vec<String>,
    /// Why the batch ended before every task ran.
    pub(crate) stopped: Option<String>,
    /// From the first task to the last end.
    pub(crate) elapsed: Duration,
    /// The terminal event of every started task has come.
    pub(crate) is_every_end_known: bool,
}

/// The end of a batch, and what it left behind.
#[derive(Debug)]
pub(crate) struct Conclusion {
    pub(crate) end: End,
    /// Pids of processes that should be gone; `None` where they are not visible.
    pub(crate) left_behind: Option<BTreeSet<i32>>,
    /// How the private supervisor failed.
    pub(crate) supervisor_error: Option<CommandError>,
}

impl Conclusion {
    /// Of a batch that had nothing left to run.
    pub(crate) fn of_nothing() -> Self {
        let end = End {
            rows: Vec::new(),
            totals: Totals::default(),
            task_ids: Vec::new(),
            stopped: None,
            elapsed: Duration::ZERO,
            is_every_end_known: true,
        };
        Self { end, left_behind: Some(BTreeSet::new()), supervisor_error: None }
    }

    /// Whether anything is known to be left behind.
    pub(crate) fn is_something_left(&self) -> bool {
        self.left_behind.as_ref().is_some_and(|processes| !processes.is_empty())
    }

    /// The tasks that failed or whose end is unknown, and those that did not run.
    pub(crate) fn failures(&self) -> (usize, usize) {
        let numbers = Numbers::of(&self.end);
        (numbers.failed, numbers.not_run)
    }
}

/// The numbers below the table.
#[derive(Clone, Debug, Default, PartialEq)]
struct Numbers {
    succeeded: usize,
    failed: usize,
    not_run: usize,
    /// Of those that succeeded.
    succeeded_with_warnings: usize,
    /// Successful or not.
    with_warnings: usize,
    totals: Totals,
}

impl Numbers {
    fn of(end: &End) -> Self {
        let mut numbers = Self { totals: end.totals.clone(), ..Self::default() };
        for row in &end.rows {
            match row.fate {
                Fate::Succeeded => numbers.succeeded += 1,
                Fate::Failed | Fate::Unknown => numbers.failed += 1,
                Fate::NotRun => numbers.not_run += 1,
            }
            if !row.warnings.is_empty() {
                numbers.with_warnings += 1;
                numbers.succeeded_with_warnings += usize::from(row.is_success());
            }
        }
        numbers
    }
}

/// The lines below the table.
pub(crate) fn summary(conclusion: &Conclusion) -> String {
    let rows = &conclusion.end.rows;
    let numbers = Numbers::of(&conclusion.end);
    let mut text = format!(
        "{}: {} succeeded, {} failed",
        text::count(rows.len(), "task"),
        numbers.succeeded,
        numbers.failed
    );
    if numbers.with_warnings > 0 {
        text.push_str(&format!(", {} with warnings", numbers.with_warnings));
    }
    if numbers.not_run > 0 {
        text.push_str(&format!(", {} not run", numbers.not_run));
    }
    text.push_str(&format!("; {} in all\n", text::duration(conclusion.end.elapsed)));
    text.push_str(&spent_line(&numbers.totals));
    text.push_str(&format!(
        "leftovers killed: {} (processes that outlived the main one of their task)\n",
        numbers.totals.killed_leftovers
    ));
    text.push_str(&left_behind_line(conclusion.left_behind.as_ref()));
    text.push_str(&remarks(rows));
    text.push_str(&warnings(rows, numbers.succeeded_with_warnings));
    text.push_str(&ending_lines(conclusion));
    text
}

/// Errors, a line for each task.
fn remarks(rows: &[Row]) -> String {
    let remark_of = |row: &Row| match (&row.remark, &row.last_words) {
        (Some(remark), _) => Some(remark.clone()),
        (None, Some(_)) => Some(row.verdict_with_warnings()),
        (None, None) => None,
    };
    let remarks = rows.iter().filter_map(|row| Some((row, remark_of(row)?)));
    let mut lines: String = remarks
        .clone()
        .take(SHOWN_REMARKS_LIMIT)
        .map(|(row, remark)| {
            let line = format!("{}. {}: {remark}", row.number, row.title);
            text::one_line(&line, REMARK_COLUMNS) + "\n" + &last_words(row)
        })
        .collect();
    let others = remarks.count().saturating_sub(SHOWN_REMARKS_LIMIT);
    if others > 0 {
        lines.push_str(&format!("... and {others} more\n"));
    }
    lines
}

/// The end of the output, below the error, unless they are the same.
fn last_words(row: &Row) -> String {
    let Some(words) =
        row.last_words.as_deref().filter(|words| row.remark.as_deref() != Some(words))
    else {
        return String::new();
    };
    let line = |line: &str| format!("   | {}\n", text::one_line(line, REMARK_COLUMNS - 5));
    words.lines().map(line).collect()
}

/// Warnings of successful tasks, a line each.
fn warnings(rows: &[Row], count: usize) -> String {
    if count == 0 {
        return String::new();
    }
    let mut lines = format!("{} succeeded with warnings:\n", text::count(count, "task"));
    let warned = rows.iter().filter(|row| row.is_success());
    let warnings = warned.flat_map(|row| row.warnings.iter().map(move |warning| (row, warning)));
    for (row, warning) in warnings.clone().take(SHOWN_REMARKS_LIMIT) {
        let line = format!("{}. {}: {warning}", row.number, row.title);
        lines.push_str(&text::one_line(&line, REMARK_COLUMNS));
        lines.push('\n');
    }
    let others = warnings.count().saturating_sub(SHOWN_REMARKS_LIMIT);
    if others > 0 {
        lines.push_str(&format!("... and {others} more\n"));
    }
    lines
}

/// `cost: 1.23 USD; tokens: 12.3 k in (10.0 k of them cached), 678 out; retries: 3`.
fn spent_line(totals: &Totals) -> String {
    if !totals.is_anything_spent() {
        return String::new();
    }
    let (cost, tokens) = (totals.cost(), totals.token_counts());
    format!("cost: {cost}; tokens: {tokens}; retries: {}\n", totals.retries)
}

fn left_behind_line(left_behind: Option<&BTreeSet<i32>>) -> String {
    let Some(processes) = left_behind else {
        return "processes left behind: not counted, the server is on another machine\n".to_owned();
    };
    let mut line = format!("processes left behind: {}", processes.len());
    if !processes.is_empty() {
        let shown: Vec<String> =
            processes.iter().take(SHOWN_PROCESSES_LIMIT).map(ToString::to_string).collect();
        let more = if processes.len() > shown.len() { " ..." } else { "" };
        line.push_str(&format!(" (pid {}{more})", shown.join(" ")));
    }
    line.push('\n');
    line
}

/// Why the batch stopped, and how the supervisor failed.
fn ending_lines(conclusion: &Conclusion) -> String {
    let mut text = match &conclusion.end.stopped {
        Some(cause) => format!("stopped: {cause}\n"),
        None => String::new(),
    };
    if let Some(supervisor_error) = &conclusion.supervisor_error {
        text.push_str(&format!("{supervisor_error}\n"));
    }
    text
}

/// The batch as a line of JSON; `batch_id` is null for a private supervisor, `succeeded_before` counts
/// tasks that were not run again.
pub(crate) fn summary_json(
    conclusion: &Conclusion,
    batch_id: Option<&str>,
    succeeded_before: usize,
) -> Value {
    let numbers = Numbers::of(&conclusion.end);
    json!({
        "type": "summary",
        "batch_id": batch_id,
        "tasks": conclusion.end.rows.len(),
        "succeeded": numbers.succeeded,
        "failed": numbers.failed,
        "not_run": numbers.not_run,
        "with_warnings": numbers.with_warnings,
        "succeeded_before": succeeded_before,
        "elapsed_ms": conclusion.end.elapsed.as_secs_f64() * 1000.0,
        "stopped": conclusion.end.stopped,
        "total_cost_usd": numbers.totals.cost_usd,
        "unknown_costs": numbers.totals.unknown_costs,
        "tokens": numbers.totals.tokens,
        "retries": numbers.totals.retries,
        "killed_leftovers": numbers.totals.killed_leftovers,
        "left_behind": conclusion.left_behind,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use cc_protocol::Verdict;

    use super::*;

    fn ended(number: usize, title: &str, verdict: Verdict, duration_ms: u64, killed: u64) -> Row {
        let is_success = verdict == Verdict::Succeeded;
        Row {
            number,
            title: title.to_owned(),
            verdict: verdict.as_str(),
            fate: if is_success { Fate::Succeeded } else { Fate::Failed },
            exit_code: Some(if is_success { 0 } else { -15 }),
            duration: Some(Duration::from_millis(duration_ms)),
            killed_leftovers: Some(killed),
            attempts: 1,
            ..Row::default()
        }
    }

    /// A row of every kind.
    pub(crate) fn rows() -> Vec<Row> {
        let long = "Print much, and then say so in a title that goes on and on";
        let open = |number, title: &str| Row { number, title: title.to_owned(), ..Row::default() };
        vec![
            ended(1, "What is 2+2?", Verdict::Succeeded, 1234, 0),
            ended(2, long, Verdict::Succeeded, 1234, 0),
            ended(3, "日本語のタイトル", Verdict::TimedOut, 125_000, 2),
            Row {
                verdict: "spawn_failed",
                fate: Fate::Failed,
                remark: Some("program \"x\" was not found".to_owned()),
                ..open(4, "x")
            },
            Row { verdict: "not run", ..open(5, "later") },
        ]
    }

    fn conclusion(left_behind: Option<BTreeSet<i32>>) -> Conclusion {
        let rows = rows();
        let end = End {
            totals: Totals::of(&rows),
            rows,
            task_ids: Vec::new(),
            stopped: Some("1 task failed (halt soon,fail=1)".to_owned()),
            elapsed: Duration::from_millis(127_500),
            is_every_end_known: true,
        };
        Conclusion { end, left_behind, supervisor_error: None }
    }

    #[test]
    fn the_summary_counts_everything() {
        let summary = summary(&conclusion(Some(BTreeSet::new())));
        assert!(summary.lines().all(|line| line.len() <= 80), "{summary}");
        insta::assert_snapshot!(summary, @r#"
            5 tasks: 2 succeeded, 2 failed, 1 not run; 2 min 7 s in all
            leftovers killed: 2 (processes that outlived the main one of their task)
            processes left behind: 0
            4. x: program "x" was not found
            stopped: 1 task failed (halt soon,fail=1)
            "#);
    }

    #[test]
    fn the_summary_says_what_was_printed_last_and_what_is_doubtful_of_a_success() {
        let mut end = conclusion(Some(BTreeSet::new()));
        let rows = &mut end.end.rows;
        rows[0].warnings = vec!["Bash was denied".to_owned(), "the answer is empty".to_owned()];
        rows[2].last_words = Some("one\ntwo".to_owned());
        rows[3].last_words = rows[3].remark.clone();
        let summary = summary(&end);
        assert!(summary.lines().all(|line| line.len() <= 80), "{summary}");
        insta::assert_snapshot!(summary, @r#"
        5 tasks: 2 succeeded, 2 failed, 1 with warnings, 1 not run; 2 min 7 s in all
        leftovers killed: 2 (processes that outlived the main one of their task)
        processes left behind: 0
        3. 日本語のタイトル: timed_out
           | one
           | two
        4. x: program "x" was not found
        1 task succeeded with warnings:
        1. What is 2+2?: Bash was denied
        1. What is 2+2?: the answer is empty
        stopped: 1 task failed (halt soon,fail=1)
        "#);
        assert_eq!(summary_json(&end, None, 0)["with_warnings"], 1);
    }

    #[test]
    fn what_is_left_behind_is_listed() {
        assert_eq!(
            left_behind_line(Some(&BTreeSet::from([11, 12]))),
            "processes left behind: 2 (pid 11 12)\n"
        );
        assert!(left_behind_line(Some(&(1..=30).collect())).ends_with("19 20 ...)\n"));
        assert!(left_behind_line(None).contains("not counted"));
    }

    #[test]
    fn programs_get_one_object_for_all() {
        let summary = summary_json(&conclusion(Some(BTreeSet::from([5]))), Some("b"), 7);
        assert_eq!(summary["batch_id"], "b");
        assert_eq!(summary["left_behind"], json!([5]));
        assert_eq!((&summary["failed"], &summary["succeeded_before"]), (&json!(2), &json!(7)));
    }
}
