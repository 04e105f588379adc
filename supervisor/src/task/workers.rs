//! The workers of the tasks that are not over, as operators see and restart them.

use std::collections::HashMap;

use cc_events::{Containment, EndReason};
use cc_proctree::usage::{self, TreeUsage};
use cc_protocol::{
    CallError,
    task::TaskState,
    worker::{RestartMode, WorkerListResult, WorkerRestart, WorkerRestartResult, WorkerSummary},
};
use tokio::task::spawn_blocking;

use crate::{
    ops::clock::milliseconds,
    task::{
        context::TaskContext,
        handle::{Request, TaskHandle},
        lookup::TaskRef,
    },
    worker::spawner::SpawnError,
};

/// Lists the workers.
///
/// # Errors
/// When `/proc` cannot be listed.
pub(crate) async fn list(context: &TaskContext) -> Result<WorkerListResult, CallError> {
    let mut tasks = context.registry.handles();
    tasks.sort_unstable_by(|one, other| one.task_id().cmp(other.task_id()));
    let pids: Vec<i32> = tasks.iter().filter_map(|task| task.worker().facts().pid).collect();
    let internal = |error: std::io::Error| CallError::Internal {
        problem: format!("the processes of the machine cannot be listed: {error}"),
    };
    let looking = spawn_blocking(move || usage::of_trees(&pids)).await;
    let usage = looking.map_err(std::io::Error::other).flatten().map_err(internal)?;
    let workers = tasks.iter().filter_map(|task| summary(task, &usage)).collect();
    Ok(WorkerListResult { workers })
}

/// `None`: there is no worker yet, or it has just ended.
fn summary(task: &TaskHandle, usage: &HashMap<i32, TreeUsage>) -> Option<WorkerSummary> {
    let facts = task.worker().facts();
    let pid = facts.pid?;
    let used = usage.get(&pid)?;
    let state = task.status().state;
    if state == TaskState::Ended {
        return None;
    }
    Some(WorkerSummary {
        task_id: task.task_id().to_owned(),
        pid,
        state,
        age_ms: milliseconds(used.age),
        version: facts.version,
        containment: facts.containment.map(Containment::as_str).map(str::to_owned),
        cpu_ms: milliseconds(used.cpu),
        memory_bytes: used.memory_bytes,
        processes: used.processes,
        silent_ms: milliseconds(task.worker().silence()),
        is_retiring: facts.is_retiring,
    })
}

/// Restarts workers: their tasks' successors get a new keeper, and with it the program that is installed now. A worker runs
/// one task, so a graceful restart waits for its end; another one ends it.
///
/// # Errors
/// When the named task does not exist or is over, or when the worker program cannot be executed: then nothing is restarted.
pub(crate) async fn restart(
    context: &TaskContext,
    which: WorkerRestart,
) -> Result<WorkerRestartResult, CallError> {
    let tasks = match which.task_id {
        None => context.registry.handles(),
        Some(task_id) => match context.registry.get(&task_id) {
            Some(task) if !task.is_done() => vec![task],
            Some(_) | None => {
                TaskRef::find(context, &task_id).await?;
                return Err(CallError::NoProcess { task_id: Some(task_id) });
            }
        },
    };
    let unusable = |error: SpawnError| CallError::NoWorkerProgram { problem: error.to_string() };
    context.spawner.check_program().map_err(unusable)?;
    // Before the tasks end, so that those that follow them have the new one.
    context.spawner.renew().await;
    let mut restarted = Vec::new();
    for task in tasks {
        task.worker().change(|facts| facts.is_retiring = true);
        match which.mode {
            RestartMode::Graceful => {}
            RestartMode::Now => {
                task.request(Request::Cancel(EndReason::WorkerRestarted, None)).await;
            }
        }
        restarted.push(task.task_id().to_owned());
    }
    restarted.sort_unstable();
    tracing::info!(workers = restarted.len(), mode = ?which.mode, "workers are restarted");
    Ok(WorkerRestartResult { restarted })
}
