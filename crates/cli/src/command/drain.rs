//! `ccx drain` and `ccx undrain`: lets a running supervisor run empty, and shows how far it is.

use std::time::Duration;

use cc_client::Connection;
use cc_protocol::{drain::DrainResult, task::ListFilter};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    args::{DrainArguments, ServerOptions},
    command::ps,
    connect::{RunningSupervisor, task_id},
    display::{terminal, text},
    error::CommandError,
    exit_code,
};

/// Between two looks: nobody waits for a drain in milliseconds.
const LOOK: Duration = Duration::from_millis(500);
/// The exit code when somebody else has ended the drain.
const ENDED: u8 = 1;

pub(crate) async fn drain(
    options: ServerOptions,
    arguments: DrainArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let begun = connection.drain().await?;
    let code = if arguments.no_wait {
        terminal::print(&format!("draining: {}\n", left(&begun)));
        0
    } else {
        wait(&mut connection, begun, arguments.timeout.map(Duration::from_secs_f64)).await?
    };
    connection.close().await;
    Ok(code)
}

pub(crate) async fn undrain(options: ServerOptions) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let now = connection.undrain().await?;
    connection.close().await;
    terminal::print(&format!("tasks are started again; {}\n", left(&now)));
    Ok(0)
}

/// Waits until nothing runs, and says each time when something has changed.
async fn wait(
    connection: &mut Connection,
    begun: DrainResult,
    limit: Option<Duration>,
) -> Result<u8, CommandError> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut now = begun;
    terminal::note(&format!("draining: {}", left(&now)));
    while !now.is_empty() {
        let pause = sleep(LOOK);
        let is_late = match deadline {
            Some(deadline) => timeout_at(deadline, pause).await.is_err(),
            None => {
                pause.await;
                false
            }
        };
        let before = now;
        now = connection.drain_progress().await?;
        if !now.draining {
            terminal::note("ccx: somebody has ended the drain: tasks are started again");
            return Ok(ENDED);
        }
        if now != before {
            terminal::note(&format!("draining: {}", left(&now)));
        }
        if is_late && !now.is_empty() {
            list(connection).await?;
            terminal::note("ccx: these still run, and the drain goes on; `ccx undrain` ends it");
            return Ok(exit_code::TIMED_OUT);
        }
    }
    terminal::print(&format!("nothing runs; {}\n", waiting(&now)));
    Ok(0)
}

fn left(now: &DrainResult) -> String {
    let hooks = now.under_way.saturating_sub(now.running);
    let hooks =
        if hooks > 0 { format!(", {hooks} between a task and its hooks") } else { String::new() };
    let tasks = if now.running == 1 { "task runs" } else { "tasks run" };
    format!("{} {tasks}{hooks}; {}", now.running, waiting(now))
}

fn waiting(now: &DrainResult) -> String {
    match (now.batches, now.draining) {
        (0, _) => "no batch is under way".to_owned(),
        (1, true) => "1 batch waits".to_owned(),
        (count, true) => format!("{count} batches wait"),
        (1, false) => "1 batch goes on".to_owned(),
        (count, false) => format!("{count} batches go on"),
    }
}

/// The tasks that still run.
async fn list(connection: &mut Connection) -> Result<(), CommandError> {
    let tasks = task_id::all(connection, ListFilter::Running).await?;
    terminal::print(&ps::table(&tasks, text::now_ms(), terminal::columns()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_in_one_line() {
        let now = DrainResult { draining: true, running: 2, under_way: 3, batches: 1 };
        assert_eq!(left(&now), "2 tasks run, 1 between a task and its hooks; 1 batch waits");
        let over = DrainResult { draining: false, running: 1, under_way: 0, batches: 2 };
        assert_eq!(left(&over), "1 task runs; 2 batches go on");
    }
}
