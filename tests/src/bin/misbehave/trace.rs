//! A task of a batch that is no agent: a line of shell whose start and end are noted.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use cc_tests::ledger::Ledger;

/// Notes a start, runs the line, notes the end, and exits as the line did.
pub fn trace(ledger: &str, name: &str, command: &str) -> ExitCode {
    let ledger = Ledger::at(Path::new(ledger));
    ledger.note_start(name);
    let status = Command::new("sh").args(["-c", command]).status().unwrap();
    ledger.note_end(name);
    ExitCode::from(u8::try_from(status.code().unwrap_or(255)).unwrap())
}
