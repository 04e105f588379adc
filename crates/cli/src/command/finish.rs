//! The end of a batch: count the processes left behind, close the supervisor, count again, print.

use std::{
    collections::BTreeSet,
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
        summary::{self, Conclusion, End},
        table, terminal,
    },
    exit_code,
};

/// Time for workers to end their tasks after their supervisor is gone.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);
/// Interval of counting meanwhile.
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// Counts what is left, closes the connection or ends the private supervisor, and counts again.
///
/// The first count is the hard one: each task's terminal event has said that its processes are
/// gone, and the supervisor has had no stop yet in which to tidy up.
pub(crate) async fn conclude(
    server: Server,
    options: &ServerOptions,
    end: End,
    urgency: Urgency,
) -> Conclusion {
    let is_private = server.is_private();
    let is_visible = is_private || options.url.as_deref().is_none_or(is_on_this_machine);
    let mut left_behind = BTreeSet::new();
    if end.is_every_end_known {
        left_behind.extend(leftovers::of_tasks(&end.task_ids));
    }
    let supervisor_error = server.close(urgency).await.err();
    let is_orderly = supervisor_error.is_none() && end.is_every_end_known;
    left_behind.extend(if is_orderly {
        count(&end, is_private)
    } else if is_private {
        // Without their supervisor, workers end their tasks by themselves.
        count_when_settled(&end, is_private).await
    } else {
        // Other clients' tasks may run there.
        BTreeSet::new()
    });
    let is_countable = is_visible && (is_private || end.is_every_end_known);
    Conclusion { end, left_behind: is_countable.then_some(left_behind), supervisor_error }
}

/// The exit code, which is not 0 if the supervisor failed.
pub(crate) fn exit_code(conclusion: &Conclusion, code: u8) -> u8 {
    match (&conclusion.supervisor_error, code) {
        (Some(supervisor_error), 0) => exit_code::of_error(supervisor_error),
        (Some(_) | None, code) => code,
    }
}

/// Prints table and summary.
pub(crate) fn print(conclusion: &Conclusion, as_expected: Option<&[bool]>) {
    let rows = &conclusion.end.rows;
    let table = table::table(rows, as_expected, terminal::look());
    terminal::print(&format!("{table}\n{}", summary::summary(conclusion)));
    // The demo has a task whose credentials are refused on purpose.
    let is_refused = |row: &Row| row.verdict == Verdict::Auth.as_str();
    if as_expected.is_none() && rows.iter().any(is_refused) {
        terminal::print(&format!("auth: {}\n", advice::on_refused_credentials()));
    }
}

fn count(end: &End, is_private: bool) -> BTreeSet<i32> {
    let mut processes = leftovers::of_tasks(&end.task_ids);
    if is_private {
        processes.extend(leftovers::of_this_process());
    }
    processes
}

/// Counts until no process is left, at most for [`SETTLE_LIMIT`].
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
