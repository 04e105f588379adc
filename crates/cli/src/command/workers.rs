//! `ccx workers` and `ccx workers restart`: list the workers with what their tasks use, and replace them.

use std::time::Duration;

use cc_client::{Connection, Error};
use cc_protocol::{
    error::ErrorCode,
    worker::{RestartMode, WorkerRestart, WorkerSummary},
};

use crate::{
    args::{ServerOptions, WorkersArguments, WorkersCommand, WorkersRestartArguments},
    connect::{RunningSupervisor, task_id},
    display::{
        grid::{self, Layout},
        terminal, text,
    },
    error::CommandError,
};

/// The exit code if a worker could not be restarted.
const SOME_FAILED: u8 = 1;
/// Numbers are right-aligned.
const LAYOUT: Layout = Layout { flexible: 0, is_left: |column| matches!(column, 0 | 2 | 4 | 5) };

pub(crate) async fn run(
    options: ServerOptions,
    arguments: WorkersArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let code = match arguments.command {
        None => {
            list(&mut connection, arguments.json).await?;
            0
        }
        Some(WorkersCommand::Restart(arguments)) => restart(&mut connection, arguments).await?,
    };
    connection.close().await;
    Ok(code)
}

async fn list(connection: &mut Connection, is_json: bool) -> Result<(), CommandError> {
    let workers = connection.worker_list().await?.workers;
    if is_json {
        let line =
            |worker: &WorkerSummary| serde_json::to_string(worker).unwrap_or_default() + "\n";
        terminal::print(&workers.iter().map(line).collect::<String>());
    } else {
        terminal::print(&table(&workers, terminal::columns()));
    }
    Ok(())
}

async fn restart(
    connection: &mut Connection,
    arguments: WorkersRestartArguments,
) -> Result<u8, CommandError> {
    let mode = if arguments.now { RestartMode::Now } else { RestartMode::Graceful };
    if arguments.all {
        let which = WorkerRestart { task_id: None, all: true, mode };
        report(&connection.worker_restart(&which).await?.restarted, mode);
        return Ok(0);
    }
    let mut code = 0;
    for typed in &arguments.ids {
        if let Err(error) = restart_one(connection, typed, mode).await {
            terminal::note(&format!("ccx: {error}"));
            code = SOME_FAILED;
        }
    }
    Ok(code)
}

async fn restart_one(
    connection: &mut Connection,
    typed: &str,
    mode: RestartMode,
) -> Result<(), CommandError> {
    let task_id = task_id::resolve(connection, typed).await?.task_id;
    let which = WorkerRestart { task_id: Some(task_id.clone()), all: false, mode };
    match connection.worker_restart(&which).await {
        Ok(answer) => {
            report(&answer.restarted, mode);
            Ok(())
        }
        Err(Error::Server(error)) if error.code == ErrorCode::NoProcess.code() => {
            Err(CommandError::failed(format!("task {task_id} has ended already")))
        }
        Err(error) => Err(error.into()),
    }
}

fn report(restarted: &[String], mode: RestartMode) {
    if restarted.is_empty() {
        terminal::note("ccx: no worker runs; the next one runs the program that is installed now");
    }
    let what = match mode {
        RestartMode::Graceful => "ends with its task",
        RestartMode::Now => "is ended",
    };
    let line = |task_id: &String| format!("{task_id} {what}\n");
    terminal::print(&restarted.iter().map(line).collect::<String>());
}

fn table(workers: &[WorkerSummary], columns: usize) -> String {
    let header = [
        "task",
        "pid",
        "state",
        "age",
        "version",
        "contained by",
        "cpu",
        "memory",
        "processes",
        "silent for",
    ];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    cells.extend(workers.iter().map(row));
    grid::draw(&LAYOUT, &cells, columns, &[])
}

fn row(worker: &WorkerSummary) -> Vec<String> {
    let duration = |ms| text::duration(Duration::from_millis(ms));
    let state = match worker.is_retiring {
        true => format!("{}, restarts", worker.state.as_str()),
        false => worker.state.as_str().to_owned(),
    };
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        worker.task_id.clone(),
        worker.pid.to_string(),
        state,
        duration(worker.age_ms),
        known(&worker.version),
        known(&worker.containment),
        duration(worker.cpu_ms),
        text::bytes(worker.memory_bytes),
        worker.processes.to_string(),
        duration(worker.silent_ms),
    ]
}

#[cfg(test)]
mod tests {
    use cc_protocol::task::TaskState;

    use super::*;

    #[test]
    fn a_row_says_what_an_operator_asks_for() {
        let worker = WorkerSummary {
            task_id: "01a2".to_owned(),
            pid: 4711,
            state: TaskState::Running,
            age_ms: 7_200_000,
            version: Some("0.1.0".to_owned()),
            containment: Some("cgroup".to_owned()),
            cpu_ms: 61_000,
            memory_bytes: 300 * 1024 * 1024,
            processes: 12,
            silent_ms: 3_000,
            is_retiring: true,
        };
        let young = WorkerSummary { version: None, is_retiring: false, ..worker.clone() };
        let table = table(&[worker, young], 200);
        for word in ["4711", "running, restarts", "2 h", "0.1.0", "cgroup", "12", "3.0 s"] {
            assert!(table.contains(word), "{word}: {table}");
        }
    }
}
