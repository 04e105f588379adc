//! What a batch says below its table, and as JSON instead. Text only; prints nothing.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    conclusion::Conclusion,
    reports::Totals,
    sequence::{Fate, Row, SequenceEnd, Stopped},
    text,
};

/// How many process ids are listed.
const SHOWN_PROCESSES_LIMIT: usize = 20;

/// The numbers below the table.
#[derive(Clone, Debug, Default, PartialEq)]
struct Numbers {
    succeeded: usize,
    failed: usize,
    not_run: usize,
    output_bytes: u64,
    dropped_bytes: u64,
    totals: Totals,
    overheads: Vec<Duration>,
}

impl Numbers {
    fn of(rows: &[Row]) -> Self {
        let mut numbers = Self { totals: Totals::of(rows), ..Self::default() };
        for row in rows {
            match &row.fate {
                Fate::Ended(ended) => {
                    numbers.output_bytes += ended.completed.output.bytes;
                    numbers.dropped_bytes += ended.completed.output.dropped_bytes;
                    numbers.overheads.push(ended.overhead);
                }
                Fate::Refused(_) | Fate::Unknown => {}
                Fate::NotRun => {
                    numbers.not_run += 1;
                    continue;
                }
            }
            if row.is_success() {
                numbers.succeeded += 1;
            } else {
                numbers.failed += 1;
            }
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
    let numbers = Numbers::of(rows);
    let mut text = format!(
        "{}: {} succeeded, {} failed",
        text::count(rows.len(), "task"),
        numbers.succeeded,
        numbers.failed
    );
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
    for row in rows {
        if let Fate::Refused(error) = &row.fate {
            text.push_str(&format!("refused: {}: {}\n", row.title, error.message));
        }
    }
    text.push_str(&ending_lines(conclusion));
    text
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
    let mut text = match stopped(&conclusion.end) {
        Some(cause) => format!("stopped: {cause}\n"),
        None => String::new(),
    };
    if let Some(trouble) = &conclusion.trouble {
        text.push_str(&format!("{trouble}\n"));
    }
    text
}

/// Why a batch did not come to its last task.
pub(crate) fn stopped(end: &SequenceEnd) -> Option<String> {
    end.stopped.as_ref().map(|stopped| match stopped {
        Stopped::Interrupted(..) => "interrupted".to_owned(),
        Stopped::FailedFast => "a task did not succeed (--fail-fast)".to_owned(),
        Stopped::Broken(failure) => failure.to_string(),
    })
}

/// With a decimal, because most overheads are a few of them.
fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// The batch as a line of JSON; `succeeded_before` counts tasks that were not run again.
pub(crate) fn summary_json(conclusion: &Conclusion, succeeded_before: usize) -> Value {
    let numbers = Numbers::of(&conclusion.end.rows);
    json!({
        "type": "summary",
        "tasks": conclusion.end.rows.len(),
        "succeeded": numbers.succeeded,
        "failed": numbers.failed,
        "not_run": numbers.not_run,
        "succeeded_before": succeeded_before,
        "elapsed_ms": conclusion.end.elapsed.as_secs_f64() * 1000.0,
        "overhead_median_ms": numbers.median_overhead().map(|median| median.as_secs_f64() * 1000.0),
        "output_bytes": numbers.output_bytes,
        "dropped_bytes": numbers.dropped_bytes,
        "total_cost_usd": numbers.totals.cost_usd,
        "tokens": numbers.totals.tokens,
        "retries": numbers.totals.retries,
        "killed_leftovers": numbers.totals.killed_leftovers,
        "left_behind": conclusion.left_behind,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use cc_protocol::{
        EndReason, OutputCounts, Verdict,
        error::{ErrorCode, ErrorObject},
        notification::{Position, ProcessCompleted},
    };

    use super::*;
    use crate::sequence::{Attempt, Ended};

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
            position: Position { task_id: "t".to_owned(), seq: 9 },
        }
    }

    fn ended(number: usize, title: &str, completed: ProcessCompleted, overhead_ms: u64) -> Row {
        let overhead = Duration::from_millis(overhead_ms);
        let fate = Fate::Ended(Box::new(Ended { completed, result: None, overhead }));
        row(number, title, fate)
    }

    fn row(number: usize, title: &str, fate: Fate) -> Row {
        let begun_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + number as u64);
        let attempt = Attempt { begun_at, elapsed: Duration::from_millis(1_300), retries: 0 };
        let attempt = (!matches!(fate, Fate::NotRun)).then_some(attempt);
        Row { number, title: title.to_owned(), attempt, fate }
    }

    /// A row of every kind.
    pub(crate) fn rows() -> Vec<Row> {
        let mut flood = completed(Verdict::Succeeded, 0);
        flood.output.bytes = 20_000_000;
        flood.output.dropped_bytes = 9_500_000;
        let mut hung = completed(Verdict::TimedOut, -15);
        hung.duration_ms = 125_000;
        hung.killed_leftovers = 2;
        let missing = ErrorObject::new(ErrorCode::SpawnFailed, "program \"x\" was not found");
        vec![
            ended(1, "What is 2+2?", completed(Verdict::Succeeded, 0), 2),
            ended(2, "Print much, and then say so in a title that goes on and on", flood, 4),
            ended(3, "日本語のタイトル", hung, 9),
            row(4, "x", Fate::Refused(missing)),
            row(5, "later", Fate::NotRun),
        ]
    }

    fn conclusion(left_behind: Option<BTreeSet<i32>>) -> Conclusion {
        let end = SequenceEnd {
            rows: rows(),
            task_ids: Vec::new(),
            stopped: Some(Stopped::FailedFast),
            elapsed: Duration::from_millis(127_500),
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
            refused: x: program "x" was not found
            stopped: a task did not succeed (--fail-fast)
            "#);
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
        let summary = summary_json(&conclusion(Some(BTreeSet::from([5]))), 7);
        assert_eq!(summary["left_behind"], json!([5]));
        assert_eq!((&summary["failed"], &summary["succeeded_before"]), (&json!(2), &json!(7)));
    }
}
