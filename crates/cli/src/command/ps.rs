//! `ccx ps`: the tasks of a supervisor, as a table or as JSON.

use std::time::Duration;

use cc_protocol::task::{ListFilter, TaskState, TaskSummary};

use crate::{
    args::{PsArguments, ServerOptions},
    connect::{RunningSupervisor, task_id},
    display::{
        grid::{self, Layout},
        terminal, text,
    },
    error::CommandError,
};

/// Shown beginning of a session's id.
const SESSION_CHARS: usize = 8;
/// Numbers are right-aligned; the task's title gets the remaining width.
const LAYOUT: Layout = Layout { flexible: 5, is_left: |column| !matches!(column, 2 | 4) };

pub(crate) async fn run(
    options: ServerOptions,
    arguments: PsArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let which = if arguments.all { ListFilter::All } else { ListFilter::Running };
    let tasks = task_id::all(&mut connection, which).await?;
    connection.close().await;
    if arguments.json {
        let lines = tasks.iter().map(|task| serde_json::to_string(task).unwrap_or_default() + "\n");
        terminal::print(&lines.collect::<String>());
    } else {
        terminal::print(&table(&tasks, text::now_ms(), terminal::columns()));
    }
    Ok(0)
}

pub(super) fn table(tasks: &[TaskSummary], now_ms: u64, columns: usize) -> String {
    let header = ["id", "state", "age", "session", "output", "task"];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    cells.extend(tasks.iter().map(|task| row(task, now_ms)));
    grid::draw(&LAYOUT, &cells, columns, &[])
}

fn row(task: &TaskSummary, now_ms: u64) -> Vec<String> {
    // An ended task shows its verdict instead.
    let state = match (task.state, task.verdict, task.warnings) {
        (TaskState::Ended, Some(verdict), 0) => verdict.as_str().to_owned(),
        (TaskState::Ended, Some(verdict), warnings) => {
            let count = usize::try_from(warnings).unwrap_or(usize::MAX);
            format!("{} ({})", verdict.as_str(), text::count(count, "warning"))
        }
        (state, _, _) => state.as_str().to_owned(),
    };
    let session = match &task.session_id {
        Some(id) => id.chars().take(SESSION_CHARS).collect(),
        None => "-".to_owned(),
    };
    vec![
        task.task_id.clone(),
        state,
        text::duration(Duration::from_millis(now_ms.saturating_sub(task.accepted_ms))),
        session,
        text::bytes(task.log_bytes),
        task_id::title(task).to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use cc_protocol::Verdict;

    use super::*;
    use crate::connect::task_id::tests::summary;

    #[test]
    fn a_row_says_what_the_task_is_or_how_it_ended() {
        let running = TaskSummary {
            session_id: Some("5f3c9f0e-6b1d-4c2a-9d53-2b7f64c1a001".to_owned()),
            ..summary("0199f3a2-8001-7abc-9def-0123456789ab")
        };
        let ended = TaskSummary {
            state: TaskState::Ended,
            verdict: Some(Verdict::TimedOut),
            label: Some("nightly tests".to_owned()),
            log_bytes: 20_000_000,
            ..summary("0199f3a1-7001-7abc-9def-0123456789ab")
        };
        let doubtful = TaskSummary {
            verdict: Some(Verdict::Succeeded),
            warnings: 1,
            task_id: "0199f3a0-6001-7abc-9def-0123456789ab".to_owned(),
            ..ended.clone()
        };
        let table = table(&[running, ended, doubtful], 3_661_000, usize::MAX);
        insta::assert_snapshot!(table, @r#"
        id                                    state                        age  session    output  task
        ────────────────────────────────────  ─────────────────────  ─────────  ────────  ───────  ─────────────
        0199f3a2-8001-7abc-9def-0123456789ab  running                1 h 1 min  5f3c9f0e    150 B  sleep 60
        0199f3a1-7001-7abc-9def-0123456789ab  timed_out              1 h 1 min  -         20.0 MB  nightly tests
        0199f3a0-6001-7abc-9def-0123456789ab  succeeded (1 warning)  1 h 1 min  -         20.0 MB  nightly tests
        "#);
    }
}
