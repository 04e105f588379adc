//! The joblog: a line a task in the columns of GNU parallel's `--joblog`, separated by tabs.
//!
//! What is made for that file works with this one (`cut`, spreadsheets, dashboards), and a resume
//! reads it back: `Seq` and `Command` say which task, `Exitval` and `Signal` whether it succeeded.

use std::time::{Duration, UNIX_EPOCH};

use super::entry::Entry;

pub(super) const HEADER: &str =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
const COLUMNS: usize = 9;
/// What GNU parallel calls the machine that it runs on.
const THIS_HOST: &str = ":";

/// A line that was read back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// Place in the task file, from 1.
    pub(super) seq: usize,
    pub(super) runtime_s: f64,
    pub(super) is_success: bool,
    pub(super) command: String,
}

impl Line {
    pub(super) fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.runtime_s).unwrap_or_default()
    }
}

/// The line of a task; none for one whose end is not known.
pub(super) fn line(entry: &Entry) -> Option<String> {
    let begun_at = entry.begun_at?;
    if entry.reason.is_none() && entry.error.is_none() {
        return None;
    }
    let started_s = begun_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let runtime_s = match entry.duration_ms {
        Some(ms) => Duration::from_millis(ms).as_secs_f64(),
        None => entry.elapsed.as_secs_f64(),
    };
    Some(format!(
        "{}\t{THIS_HOST}\t{started_s:.3}\t{runtime_s:10.3}\t0\t{}\t{}\t{}\t{}\n",
        entry.number,
        entry.output_bytes,
        entry.job_exit_code,
        entry.signal.unwrap_or_default(),
        entry.command,
    ))
}

/// Why a line is none of a joblog.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("has {0} of {COLUMNS} columns")]
    Columns(usize),
    #[error("has {cell:?} as {name}, which is no number")]
    Number { name: &'static str, cell: String },
    #[error("has a Seq that is no number from 1")]
    Seq,
    #[error("has a JobRuntime that is no number")]
    Runtime,
}

/// Reads a line without its newline.
pub(super) fn read(line: &str) -> Result<Line, LineError> {
    let cells: Vec<&str> = line.splitn(COLUMNS, '\t').collect();
    let &[seq, _, _, runtime, _, _, exit_value, signal, command] = cells.as_slice() else {
        return Err(LineError::Columns(cells.len()));
    };
    let number = |name: &'static str, cell: &str| {
        let number = cell.trim().parse::<i64>();
        number.map_err(|_| LineError::Number { name, cell: cell.to_owned() })
    };
    let seq = usize::try_from(number("Seq", seq)?).ok().filter(|seq| *seq > 0);
    Ok(Line {
        seq: seq.ok_or(LineError::Seq)?,
        runtime_s: runtime.trim().parse().map_err(|_| LineError::Runtime)?,
        is_success: number("Exitval", exit_value)? == 0 && number("Signal", signal)? == 0,
        command: command.to_owned(),
    })
}
