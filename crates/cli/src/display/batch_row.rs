//! A task of a batch as the table shows it.

use std::time::Duration;

use cc_protocol::{
    Verdict,
    batch::{AttemptClass, BatchRow, RowState},
};

use super::{
    row::{Fate, Row, Tokens},
    task::Task,
};

/// Lines of a task's output below the table.
const LAST_WORDS_LINES: usize = 3;
/// A longer one is shown with its end.
const LAST_WORDS_CHARS: usize = 200;
/// Length of that end.
const END_CHARS: usize = 70;

/// The row of the table, from the last state of the task, if one was received.
pub(crate) fn shown(task: &Task, row: Option<&BatchRow>) -> Row {
    let fate = match row.map(|row| (row.state, row.verdict)) {
        Some((RowState::Over, Some(Verdict::Succeeded))) => Fate::Succeeded,
        Some((RowState::Over, _)) => Fate::Failed,
        Some((RowState::Running | RowState::Retrying, _)) => Fate::Unknown,
        // At the gate again, after an attempt.
        Some((RowState::Waiting, _)) if row.is_some_and(|row| !row.attempts.is_empty()) => {
            Fate::Unknown
        }
        Some((RowState::Waiting | RowState::Skipped, _)) | None => Fate::NotRun,
    };
    let verdict = match (fate, row.and_then(|row| row.verdict)) {
        (Fate::Succeeded | Fate::Failed, Some(verdict)) => verdict.as_str(),
        (Fate::NotRun, _) => "not run",
        (Fate::Succeeded | Fate::Failed | Fate::Unknown, _) => "unknown",
    };
    let shown =
        Row { number: task.number, title: task.title.clone(), verdict, fate, ..Row::default() };
    let Some(row) = row.filter(|_| fate != Fate::NotRun) else { return shown };
    Row {
        exit_code: row.exit_code,
        duration: row.duration_ms.map(Duration::from_millis),
        killed_leftovers: Some(row.killed_leftovers),
        attempts: row.attempts.len() as u64,
        retries: repeats(row, AttemptClass::Transient),
        cost_usd: row.cost_usd.unwrap_or_default(),
        unknown_costs: row.unknown_costs,
        tokens: Tokens::of_row(row),
        remark: row.error.clone(),
        warnings: row.warnings.iter().map(|warning| warning.message.clone()).collect(),
        last_words: (fate != Fate::Succeeded).then(|| last_words(row)).flatten(),
        ..shown
    }
}

/// How many attempts of this class were followed by another one.
pub(crate) fn repeats(row: &BatchRow, class: AttemptClass) -> u64 {
    let others = row.attempts.len().saturating_sub(1);
    let followed = row.attempts.iter().take(others);
    followed.filter(|attempt| attempt.class == Some(class)).count() as u64
}

/// What the table and the lines below it need: the answers of a whole batch and all the output of its
/// tasks may be more than memory should hold.
pub(crate) fn slim(row: &BatchRow) -> BatchRow {
    let last_words = match row.verdict {
        Some(Verdict::Succeeded) | None => None,
        Some(_) => last_words(row),
    };
    let mut slim = row.clone();
    slim.result = None;
    slim.structured_output = None;
    slim.parts = Vec::new();
    for attempt in &mut slim.attempts {
        attempt.stdout_tail = None;
        attempt.stderr_tail = None;
    }
    if let Some(last) = slim.attempts.last_mut() {
        last.stderr_tail = last_words;
    }
    slim
}

/// The end of what its last attempt printed on standard error, else on standard output.
fn last_words(row: &BatchRow) -> Option<String> {
    let last = row.attempts.last()?;
    let words = last.stderr_tail.as_deref().or(last.stdout_tail.as_deref())?;
    let lines: Vec<&str> = words.lines().rev().filter(|line| !line.trim().is_empty()).collect();
    let lines: Vec<String> = lines.into_iter().take(LAST_WORDS_LINES).map(end_of_line).collect();
    (!lines.is_empty()).then(|| lines.into_iter().rev().collect::<Vec<String>>().join("\n"))
}

/// The end of a line that is too long, after `…`.
fn end_of_line(line: &str) -> String {
    let chars = line.chars().count();
    if chars <= LAST_WORDS_CHARS {
        return line.to_owned();
    }
    std::iter::once('…').chain(line.chars().skip(chars - END_CHARS)).collect()
}

#[cfg(test)]
mod tests {
    use cc_protocol::batch::BatchAttempt;

    use super::*;
    use crate::fixtures::row;

    fn failed(stdout: Option<&str>, stderr: Option<&str>) -> BatchRow {
        let attempt = BatchAttempt {
            stdout_tail: stdout.map(str::to_owned),
            stderr_tail: stderr.map(str::to_owned),
            ..BatchAttempt::accepted("t".to_owned(), 1, 0)
        };
        let verdict = Some(Verdict::Failed);
        BatchRow { attempts: vec![attempt], verdict, state: RowState::Over, ..row(0) }
    }

    #[test]
    fn the_last_words_below_the_table_are_few_and_survive_what_is_cut_away() {
        let words = |row: &BatchRow| shown(&Task::of_row(row), Some(row)).last_words;
        let long: String = (1..=20).map(|number| format!("line {number}\n\n")).collect();
        let row = failed(Some(&long), None);
        let expected = "line 18\nline 19\nline 20";
        assert_eq!(words(&row).as_deref(), Some(expected));
        assert_eq!(words(&slim(&row)).as_deref(), Some(expected));
        assert_eq!(words(&failed(Some("out"), Some("err"))).as_deref(), Some("err"));
        assert_eq!(words(&failed(None, None)), None);
        let endless = failed(None, Some(&("é".repeat(5_000) + "THE END")));
        let words_of_endless = words(&endless).unwrap();
        assert!(words_of_endless.starts_with("…é") && words_of_endless.ends_with("éTHE END"));
        assert_eq!(words(&slim(&endless)).as_deref(), Some(&*words_of_endless));
        let good = BatchRow { verdict: Some(Verdict::Succeeded), ..failed(Some("out"), None) };
        assert_eq!(words(&slim(&good)), None);
        assert_eq!(slim(&good).attempts[0].stderr_tail, None);
    }
}
