//! Standard output and standard error. A closed stream does not end a command: the exit status says the same.

use std::{
    env,
    io::{IsTerminal as _, Write as _},
};

/// For pipes, files and terminals without a size.
const USUAL_COLUMNS: usize = 80;
/// Wider tables are hard to read.
const MOST_COLUMNS: usize = 140;

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Width of the terminal.
    pub(crate) columns: usize,
    /// Whether colors are wanted.
    pub(crate) is_colored: bool,
}

/// Writes a line to stderr.
pub(crate) fn note(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Width of a table on stdout; unbounded where stdout is no terminal.
pub(crate) fn columns() -> usize {
    if std::io::stdout().is_terminal() { look().columns } else { usize::MAX }
}

pub(crate) fn look() -> Look {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return Look { columns: USUAL_COLUMNS, is_colored: false };
    }
    let columns =
        console::Term::stdout().size_checked().map_or(USUAL_COLUMNS, |size| size.1.into());
    let is_color_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|value| value == "dumb");
    Look { columns: columns.min(MOST_COLUMNS), is_colored: !is_color_unwanted }
}
