//! The terminal of this command: what it takes, and writing to it. A reader that is gone ends no command: the exit code
//! says the same.

use std::{
    env,
    io::{IsTerminal as _, Write as _},
};

/// For pipes, files and terminals that do not say.
const USUAL_COLUMNS: usize = 80;
/// Wider tables are hard to read.
const MOST_COLUMNS: usize = 140;

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Width of the terminal.
    pub(crate) columns: usize,
    /// Whether colours are wanted.
    pub(crate) is_coloured: bool,
}

/// Writes a line to stderr. Nobody may be there to read it.
pub(crate) fn note(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Writes to stdout. Nobody may be there to read it any more; the exit code says the same.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Width of a table on stdout; without bound where no terminal would break its lines.
pub(crate) fn columns() -> usize {
    if std::io::stdout().is_terminal() { look().columns } else { usize::MAX }
}

pub(crate) fn look() -> Look {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return Look { columns: USUAL_COLUMNS, is_coloured: false };
    }
    let columns =
        console::Term::stdout().size_checked().map_or(USUAL_COLUMNS, |size| size.1.into());
    let is_colour_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|value| value == "dumb");
    Look { columns: columns.min(MOST_COLUMNS), is_coloured: !is_colour_unwanted }
}
