//! What a batch says below its table, and as JSON instead. Text only; prints nothing.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    command::finish::{Conclusion, End},
    display::{
        row::{Fate, Row},
        text,
    },
    reports::Totals,
};

/// How many process ids are listed.
const SHOWN_PROCESSES_LIMIT: usize = 20;
/// How many tasks' errors are listed.
const SHOWN_REMARKS_LIMIT: usize = 20;
/// As wide as a terminal is at least.
const REMARK_COLUMNS: usize = 80;

/// The numbers below the table.
#[derive(Clone, Debug, Default, PartialEq)]
struct Numbers {
    succeeded: usize,
    failed: usize,
    not_run: usize,
    /// Of those that succeeded.
    succeeded_with_warnings: usize,
    /// Whatever their fate.
    with_warnings: usize,
    output_bytes: u64,
    dropped_bytes: u64,
    totals: Totals,
    overheads: Vec<Duration>,
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
            if let Some(output) = row.output {
                numbers.output_bytes += output.bytes;
                numbers.dropped_bytes += output.dropped_bytes;
            }
            numbers.overheads.extend(row.overhead);
        }
        numbers.overheads.sort_unstable();
        numbers
    }

    fn median_overhead(&self) -> Option<Duration> {
        self.overheads.get(self.overheads.len() / 2).copied()
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
    if let (Some(median), Some(most)) = (numbers.median_overhead(), numbers.overheads.last()) {
        text.push_str(&format!(
            "overhead per task: {} (median; most {}): from sending the request to\n\
             \x20 hearing of the end, less the task's own time\n",
            milliseconds(median),
            milliseconds(*most),
        ));
    }
    if numbers.dropped_bytes > 0 {
        text.push_str(&format!(
            "output: {}, of which {} were over a task's limit (*) and left out\n",
            text::bytes(numbers.output_bytes),
            text::bytes(numbers.dropped_bytes),
        ));
    }
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

/// What went wrong, a line a task.
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

/// The end of what it printed, below what went wrong, unless that has said it all.
fn last_words(row: &Row) -> String {
    let Some(words) =
        row.last_words.as_deref().filter(|words| row.remark.as_deref() != Some(words))
    else {
        return String::new();
    };
    let line = |line: &str| format!("   | {}\n", text::one_line(line, REMARK_COLUMNS - 5));
    words.lines().map(line).collect()
}

/// What was wrong with successes, a line a warning.
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

/// Why it was not the usual end.
fn ending_lines(conclusion: &Conclusion) -> String {
    let mut text = match &conclusion.end.stopped {
        Some(cause) => format!("stopped: {cause}\n"),
        None => String::new(),
    };
    if let Some(trouble) = &conclusion.trouble {
        text.push_str(&format!("{trouble}\n"));
    }
    text
}

/// With a decimal, because most overheads are a few of them.
fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// The batch as a line of JSON; `batch_id` is for one that a supervisor keeps, `succeeded_before` counts
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
    use cc_protocol::{
        EndReason, OutputCounts, Verdict,
        notification::{Position, ProcessCompleted},
    };

    use super::*;
    use crate::connect::private::Urgency;

    /// A terminal event with plausible numbers.
    pub(crate) fn completed(verdict: Verdict, exit_code: i32) -> ProcessCompleted {
        ProcessCompleted {
            status: if exit_code == 0 { "completed" } else { "failed" }.into(),
            pid: 7,
            pgid: 7,
            exit_code,
            error: None,
            execution_time: 1.234,
            reason: EndReason::Exit,
            verdict,
            signal: None,
            duration_ms: 1234,
            cpu_ms: 900,
            max_rss_bytes: 5_000_000,
            output: OutputCounts { lines: 3, bytes: 1_500, ..OutputCounts::default() },
            killed_leftovers: 0,
            unkillable: 0,
            warnings: Vec::new(),
            claude: None,
            position: Position { task_id: "t".to_owned(), seq: 9 },
        }
    }

    fn ended(number: usize, title: &str, completed: &ProcessCompleted, overhead_ms: u64) -> Row {
        let is_success = completed.verdict == Verdict::Succeeded;
        Row {
            number,
            title: title.to_owned(),
            verdict: completed.verdict.as_str(),
            fate: if is_success { Fate::Succeeded } else { Fate::Failed },
            reason: Some(completed.reason),
            exit_code: Some(completed.exit_code),
            duration: Some(Duration::from_millis(completed.duration_ms)),
            output: Some(completed.output),
            killed_leftovers: Some(completed.killed_leftovers),
            attempts: 1,
            overhead: Some(Duration::from_millis(overhead_ms)),
            ..Row::default()
        }
    }

    /// A row of every kind.
    pub(crate) fn rows() -> Vec<Row> {
        let mut flood = completed(Verdict::Succeeded, 0);
        flood.output.bytes = 20_000_000;
        flood.output.dropped_bytes = 9_500_000;
        let mut hung = completed(Verdict::TimedOut, -15);
        hung.duration_ms = 125_000;
        hung.killed_leftovers = 2;
        let open = |number, title: &str| Row { number, title: title.to_owned(), ..Row::default() };
        vec![
            ended(1, "What is 2+2?", &completed(Verdict::Succeeded, 0), 2),
            ended(2, "Print much, and then say so in a title that goes on and on", &flood, 4),
            ended(3, "日本語のタイトル", &hung, 9),
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
            urgency: Urgency::Polite,
        };
        Conclusion { end, left_behind, trouble: None }
    }

    #[test]
    fn the_summary_counts_everything() {
        let summary = summary(&conclusion(Some(BTreeSet::new())));
        assert!(summary.lines().all(|line| line.len() <= 80), "{summary}");
        insta::assert_snapshot!(summary, @r#"
            5 tasks: 2 succeeded, 2 failed, 1 not run; 2 min 7 s in all
            overhead per task: 4.0 ms (median; most 9.0 ms): from sending the request to
              hearing of the end, less the task's own time
            output: 20.0 MB, of which 9.5 MB were over a task's limit (*) and left out
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
        overhead per task: 4.0 ms (median; most 9.0 ms): from sending the request to
          hearing of the end, less the task's own time
        output: 20.0 MB, of which 9.5 MB were over a task's limit (*) and left out
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
