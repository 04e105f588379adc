//! What a program has printed, for every suite of the command line.

use std::process::Output;

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn stdout(output: &Output) -> String {
    text(&output.stdout)
}

pub(super) fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

/// Both, for the text of a failure.
pub(super) fn shown(output: &Output) -> String {
    format!("stdout: {}\nstderr: {}", stdout(output), stderr(output))
}
