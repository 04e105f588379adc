//! What is said of a batch while it runs, in a line or two. Text only; prints nothing.

use std::{collections::BTreeMap, time::Duration};

use cc_protocol::{
    Verdict,
    batch::{BatchRow, BatchSummary, BatchWait, usd_at_least},
};
use chrono::{DateTime, Local};

use crate::display::{task::Task, text};

/// Interval of a countdown.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Longest part of a title.
const TITLE_COLUMNS: usize = 60;

/// The two lines of a progress bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Counts, remaining time, cost.
    pub(super) counts: String,
    /// What runs, or what the batch waits for.
    pub(super) doing: String,
}

/// The status at this time.
pub(super) fn of(
    summary: &BatchSummary,
    rows: &BTreeMap<u64, BatchRow>,
    tasks: &[Task],
    now_ms: u64,
) -> Status {
    let counts = &summary.counts;
    let mut parts = vec![
        format!("{} succeeded", counts.succeeded),
        format!("{} failed", counts.failed),
        format!("{} running", counts.running),
    ];
    if counts.retrying > 0 {
        parts.push(format!("{} to be tried again", counts.retrying));
    }
    if counts.skipped > 0 {
        parts.push(format!("{} not run", counts.skipped));
    }
    if summary.warnings > 0 {
        parts.push(format!("{} with warnings", summary.warnings));
    }
    if let Some(left) = time_left(summary, rows, now_ms) {
        parts.push(format!("about {} left", text::duration(left)));
    }
    if summary.cost_usd > 0.0 {
        parts.push(usd_at_least(summary.cost_usd, summary.unknown_costs));
    }
    if summary.input_tokens + summary.output_tokens > 0 {
        let (input, output) =
            (text::amount(summary.input_tokens), text::amount(summary.output_tokens));
        parts.push(format!("{input} in, {output} out"));
    }
    let doing = match &summary.waits {
        Some(wait) => {
            let left = Duration::from_millis(wait.until_ms.saturating_sub(now_ms));
            format!("waiting {} more: {}", text::duration(left), wait.reason)
        }
        None => running(summary, tasks),
    };
    Status { counts: parts.join(", "), doing }
}

fn running(summary: &BatchSummary, tasks: &[Task]) -> String {
    let title = |index: u64| {
        let task = usize::try_from(index).ok().and_then(|index| tasks.get(index));
        text::one_line(task.map_or("", |task| &task.title), TITLE_COLUMNS)
    };
    match summary.running.as_slice() {
        [] => String::new(),
        [one] if one.attempt > 1 => format!("{} (attempt {})", title(one.index), one.attempt),
        [one] => title(one.index),
        [one, others @ ..] => format!("{}, and {} more", title(one.index), others.len()),
    }
}

/// Estimated from the tasks that have ended; `None` before the first one, and if nothing is left.
fn time_left(
    summary: &BatchSummary,
    rows: &BTreeMap<u64, BatchRow>,
    now_ms: u64,
) -> Option<Duration> {
    let ended: Vec<u64> = rows
        .values()
        .filter(|row| row.verdict.is_some())
        .filter_map(|row| row.duration_ms)
        .collect();
    let counts = &summary.counts;
    let left = counts.waiting + counts.running + counts.retrying;
    let mean = ended.iter().sum::<u64>().checked_div(ended.len() as u64)?;
    if left == 0 {
        return None;
    }
    let under_way: u64 = summary
        .running
        .iter()
        .map(|running| now_ms.saturating_sub(running.started_ms).min(mean))
        .sum();
    let work = (mean * left).saturating_sub(under_way) / u64::from(summary.jobs.max(1));
    let wait = summary.waits.as_ref().map_or(0, |wait| wait.until_ms.saturating_sub(now_ms));
    Some(Duration::from_millis(work + wait))
}

/// `ccx: waiting until 03:00 (2 h 4 min): …`.
pub(super) fn wait_line(wait: &BatchWait) -> String {
    let left = Duration::from_millis(wait.until_ms.saturating_sub(text::now_ms()));
    let until = DateTime::<Local>::from(text::at(wait.until_ms)).format("%Y-%m-%d %H:%M:%S");
    format!("ccx: waiting until {until} ({}): {}", text::duration(left), wait.reason)
}

/// `ccx: task 3 (label): rate_limited; it is tried again`.
pub(super) fn retry_line(task: &Task, row: &BatchRow) -> String {
    let last = row.attempts.iter().rev().find_map(|attempt| attempt.verdict);
    let verdict = last.map_or("unknown", Verdict::as_str);
    let title = text::one_line(&task.title, TITLE_COLUMNS);
    format!("ccx: task {} ({title}): {verdict}; it will be tried again", task.number)
}

#[cfg(test)]
mod tests {
    use cc_protocol::batch::{BatchRunning, BatchState};

    use super::*;
    use crate::fixtures::{row, summary};

    fn task(number: usize) -> Task {
        Task::of_row(&row(number as u64 - 1))
    }

    fn rows(durations_ms: &[u64]) -> BTreeMap<u64, BatchRow> {
        let row = |(index, ms): (u64, &u64)| {
            let verdict = Some(Verdict::Succeeded);
            (index, BatchRow { verdict, duration_ms: Some(*ms), ..row(index) })
        };
        (0..).zip(durations_ms).map(row).collect()
    }

    #[test]
    fn people_see_how_many_how_long_still_and_what_it_cost() {
        let running = BatchRunning {
            index: 3,
            name: None,
            label: None,
            task_id: "t".to_owned(),
            attempt: 2,
            started_ms: 50_000,
        };
        let batch = BatchSummary { running: vec![running], ..summary("b") };
        let tasks: Vec<Task> = (1..=10).map(task).collect();
        let status = of(&batch, &rows(&[10_000, 20_000, 30_000]), &tasks, 55_000);
        assert_eq!(
            status.counts,
            "2 succeeded, 1 failed, 1 running, about 2 min 15 s left, 0.25 USD, 12.3 k in, 678 out"
        );
        assert_eq!(status.doing, "task 3 (attempt 2)");
    }

    #[test]
    fn a_wait_is_counted_down_and_says_what_for() {
        let wait = BatchWait { until_ms: 7_261_000, reason: "usage limit".to_owned() };
        let state = BatchState::WaitingLimit;
        let batch = BatchSummary { waits: Some(wait), state, ..summary("b") };
        let status = of(&batch, &rows(&[]), &[], 1_000);
        assert_eq!(status.doing, "waiting 2 h 1 min more: usage limit");
        assert!(!status.counts.contains("left"), "nothing is known of how long a task takes");
    }
}
