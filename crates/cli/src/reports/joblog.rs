//! The joblog: a line a task in the columns of GNU parallel's `--joblog`, separated by tabs.
//!
//! What is made for that file works with this one (`cut`, spreadsheets, dashboards), and a resume
//! reads it back: `Seq` and `Command` say which task, `Exitval` and `Signal` whether it succeeded.

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use cc_protocol::execute::{Execute, Program};

use super::Entry;

/// The first line.
pub(super) const HEADER: &str =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
/// Longest part of a command that is written.
const COMMAND_BYTES_LIMIT: usize = 4 * 1024;
const COLUMNS: usize = 9;
/// What stands before the checksum of a command that was cut.
const CRC_MARK: &str = ", crc32 ";
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

/// What a task runs, in one cell: tabs and line breaks escaped, and what is very long cut, with its
/// size and a checksum so that a resume still sees a change.
pub(crate) fn command_cell(execute: &Execute) -> String {
    let text = match &execute.program {
        Program::Prompt(prompt) => format!("prompt: {}", prompt.prompt),
        Program::Argv { argv } => shell_words::join(argv),
        Program::Command { command } => command.clone(),
    };
    let end = text.floor_char_boundary(COMMAND_BYTES_LIMIT);
    let mut cell = String::with_capacity(end);
    for letter in text[..end].chars() {
        match letter {
            '\\' => cell.push_str("\\\\"),
            '\t' => cell.push_str("\\t"),
            '\n' => cell.push_str("\\n"),
            '\r' => cell.push_str("\\r"),
            letter => cell.push(letter),
        }
    }
    if end < text.len() {
        let checksum = crc32fast::hash(text.as_bytes());
        // Writing to a text cannot fail.
        write!(cell, " … ({} bytes{CRC_MARK}{checksum:08x})", text.len()).ok();
    }
    cell
}

/// What of a command stays the same while an agent ticks boxes in it. Of one that was cut the checksum does not, but its
/// beginning and its size do.
pub(crate) fn key(command: &str) -> String {
    let whole = command.split_once(CRC_MARK).map_or(command, |(before, _)| before);
    whole.replace("[x]", "[ ]").replace("[X]", "[ ]")
}

/// Reads a line without its newline.
pub(super) fn read(line: &str) -> Result<Line, String> {
    let cells: Vec<&str> = line.splitn(COLUMNS, '\t').collect();
    let &[seq, _, _, runtime, _, _, exit_value, signal, command] = cells.as_slice() else {
        return Err(format!("has {} of {COLUMNS} columns", cells.len()));
    };
    let number = |name: &str, cell: &str| {
        cell.trim()
            .parse::<i64>()
            .map_err(|_| format!("has {cell:?} as {name}, which is no number"))
    };
    let seq = usize::try_from(number("Seq", seq)?).ok().filter(|seq| *seq > 0);
    Ok(Line {
        seq: seq.ok_or("has a Seq that is no number from 1")?,
        runtime_s: runtime.trim().parse().map_err(|_| "has a JobRuntime that is no number")?,
        is_success: number("Exitval", exit_value)? == 0 && number("Signal", signal)? == 0,
        command: command.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_same_one_when_boxes_in_it_are_ticked_and_another_one_otherwise() {
        let cell = |prompt: &str| {
            let program = Program::Prompt(Box::new(cc_protocol::execute::Prompt {
                prompt: prompt.to_owned(),
                ..Default::default()
            }));
            command_cell(&Execute { program, ..Execute::default() })
        };
        let long = "y".repeat(2 * COMMAND_BYTES_LIMIT);
        for rest in ["", long.as_str()] {
            let with = |mark: &str, word: &str| {
                key(&cell(&format!("a\n- {mark} {word}\n{rest}\n- {mark} c")))
            };
            assert_eq!(with("[ ]", "b"), with("[x]", "b"));
            assert_eq!(with("[ ]", "b"), with("[X]", "b"));
            assert_ne!(with("[ ]", "b"), with("[ ]", "d"));
            assert_ne!(with("[ ]", "b"), with("[-]", "b"));
        }
        assert_ne!(key(&cell(&long)), key(&cell(&format!("{long}y"))));
    }
}
