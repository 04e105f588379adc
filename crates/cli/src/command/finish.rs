//! The end of a batch: count, close, count again, print.

use std::{
    collections::BTreeSet,
    env,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use cc_protocol::Verdict;
use tokio::time;

use crate::{
    args::ServerOptions,
    connect::{Server, leftovers, private::Urgency},
    display::{
        advice,
        row::Row,
        summary,
        table::{self, Look},
    },
    error::Failure,
    reports::Totals,
};

/// For pipes, files and terminals that do not say.
const USUAL_COLUMNS: usize = 80;
/// Wider tables are hard to read.
const MOST_COLUMNS: usize = 140;

/// How long workers without a supervisor may take to end their tasks.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);
/// Between two counts meanwhile.
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// How a list of tasks came to its end, as seen from here.
#[derive(Debug)]
pub(crate) struct End {
    /// One a task.
    pub(crate) rows: Vec<Row>,
    pub(crate) totals: Totals,
    /// Of every task that was started.
    pub(crate) task_ids: Vec<String>,
    /// Why not every task had its turn.
    pub(crate) stopped: Option<String>,
    /// From the first task to the last end.
    pub(crate) elapsed: Duration,
    /// The terminal event of every started task has come.
    pub(crate) is_every_end_known: bool,
    /// How a private supervisor is to be ended.
    pub(crate) urgency: Urgency,
}

/// All that is to be said of it.
#[derive(Debug)]
pub(crate) struct Conclusion {
    pub(crate) end: End,
    /// Processes that should be gone; `None` where they cannot be seen from here.
    pub(crate) left_behind: Option<BTreeSet<i32>>,
    /// The private supervisor did not end well.
    pub(crate) trouble: Option<Failure>,
}

impl Conclusion {
    /// Counts what is left, ends the server's use, and counts again.
    ///
    /// The first count is the hard one: each task's terminal event has said that its processes are
    /// gone, and the supervisor has had no stop yet in which to tidy up.
    pub(crate) async fn reach(server: Server, options: &ServerOptions, end: End) -> Self {
        let is_private = server.is_private();
        let is_visible = is_private || options.url.as_deref().is_none_or(is_on_this_machine);
        let mut left_behind = BTreeSet::new();
        if end.is_every_end_known {
            left_behind.extend(leftovers::of_tasks(&end.task_ids));
        }
        let trouble = server.close(end.urgency).await.err();
        let is_orderly = trouble.is_none() && end.is_every_end_known;
        left_behind.extend(if is_orderly {
            count(&end, is_private)
        } else if is_private {
            // Without their supervisor, workers end their tasks by themselves.
            count_when_settled(&end, is_private).await
        } else {
            // What still runs there is none of this command's.
            BTreeSet::new()
        });
        let is_countable = is_visible && (is_private || end.is_every_end_known);
        Self { end, left_behind: is_countable.then_some(left_behind), trouble }
    }

    /// Of a batch that had nothing left to run.
    pub(crate) fn of_nothing() -> Self {
        let end = End {
            rows: Vec::new(),
            totals: Totals::default(),
            task_ids: Vec::new(),
            stopped: None,
            elapsed: Duration::ZERO,
            is_every_end_known: true,
            urgency: Urgency::Polite,
        };
        Self { end, left_behind: Some(BTreeSet::new()), trouble: None }
    }

    /// Whether anything is known to be left behind.
    pub(crate) fn is_something_left(&self) -> bool {
        self.left_behind.as_ref().is_some_and(|processes| !processes.is_empty())
    }

    /// A code of success only if the supervisor ended well, too.
    pub(crate) fn checked(&self, code: u8) -> u8 {
        match (&self.trouble, code) {
            (Some(trouble), 0) => trouble.exit_code,
            (Some(_) | None, code) => code,
        }
    }

    /// Prints table and summary.
    pub(crate) fn print(&self, as_expected: Option<&[bool]>) {
        let table = table::table(&self.end.rows, as_expected, look());
        print(&format!("{table}\n{}", summary::summary(self)));
        // In a demonstration a refusal is a part of the show.
        let is_refused = |row: &Row| row.verdict == Verdict::Auth.as_str();
        if as_expected.is_none() && self.end.rows.iter().any(is_refused) {
            print(&format!("auth: {}\n", advice::on_refused_credentials()));
        }
    }
}

fn count(end: &End, is_private: bool) -> BTreeSet<i32> {
    let mut processes = leftovers::of_tasks(&end.task_ids);
    if is_private {
        processes.extend(leftovers::of_this_process());
    }
    processes
}

/// Counts until nothing is there, at most for [`SETTLE_LIMIT`].
async fn count_when_settled(end: &End, is_private: bool) -> BTreeSet<i32> {
    let begun_at = Instant::now();
    loop {
        let processes = count(end, is_private);
        if processes.is_empty() || begun_at.elapsed() > SETTLE_LIMIT {
            return processes;
        }
        time::sleep(SETTLE_STEP).await;
    }
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

fn is_on_this_machine(url: &str) -> bool {
    let address = url.split("://").nth(1).unwrap_or_default();
    ["127.", "localhost", "[::1]"].iter().any(|beginning| address.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_loopback_is_on_this_machine() {
        assert!(is_on_this_machine("ws://127.0.0.1:8003/ws"));
        assert!(is_on_this_machine("ws://localhost:8003"));
        assert!(is_on_this_machine("ws://[::1]:8003"));
        assert!(!is_on_this_machine("ws://192.0.2.1:8003"));
    }
}
