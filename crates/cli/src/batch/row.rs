//! A task of a batch as the table shows it.

use std::time::Duration;

use cc_protocol::{
    Verdict,
    batch::{AttemptClass, BatchRow, RowState},
};

use crate::{
    reports::{Task, Tokens, repeats},
    row::{Fate, Row},
};

/// From what was seen of it last; nothing may have been.
pub(crate) fn shown(task: &Task, row: Option<&BatchRow>) -> Row {
    let fate = match row.map(|row| (row.state, row.verdict)) {
        Some((RowState::Over, Some(Verdict::Succeeded))) => Fate::Succeeded,
        Some((RowState::Over, _)) => Fate::Failed,
        Some((RowState::Running | RowState::Retrying, _)) => Fate::Unknown,
        // At the gate once more.
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
        reason: row.reason,
        exit_code: row.exit_code,
        duration: row.duration_ms.map(Duration::from_millis),
        killed_leftovers: Some(row.killed_leftovers),
        attempts: row.attempts.len() as u64,
        retries: repeats(row, AttemptClass::Transient),
        cost_usd: row.cost_usd.unwrap_or_default(),
        tokens: row.usage.as_ref().map(Tokens::of).unwrap_or_default(),
        remark: row.error.clone(),
        ..shown
    }
}
