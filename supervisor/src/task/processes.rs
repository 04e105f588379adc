//! Whether processes can be made for tasks. A task that found none raises the condition; whether there are some again is
//! tried here, because clients that see the condition send no task that would show it.

use std::{io, sync::Arc};

use cc_events::{Completed, SpawnFailureKind};
use rustix::io::Errno;
use tokio::time::sleep;

use crate::{
    config::limits,
    ops::health::Condition,
    task::{context::TaskContext, not_started::NotStarted},
};

/// Takes note of a task that no worker was forked for.
pub(crate) fn note_not_started(context: &Arc<TaskContext>, error: &NotStarted) {
    if let NotStarted::Processes(error) = error {
        exhausted(context, error.to_string());
    }
}

/// Takes note of a task whose worker could fork no process for it.
pub(crate) fn note_end(context: &Arc<TaskContext>, completed: &Completed) {
    // The worker's error comes as text.
    let want = io::Error::from(Errno::AGAIN).to_string();
    if completed.spawn_failure == Some(SpawnFailureKind::Means)
        && let Some(error) = completed.error.as_ref().filter(|error| error.contains(&want))
    {
        exhausted(context, error.clone());
    }
}

fn exhausted(context: &Arc<TaskContext>, error: String) {
    let Ok(turn) = Arc::clone(&context.trial).try_lock_owned() else { return };
    let text = format!(
        "no process can be made for a task ({error}): end some, or raise the limit (ulimit -u; in a service TasksMax= and \
         LimitNPROC=); this ends by itself then"
    );
    context.health.raise(Condition::ProcessesExhausted, text);
    let context = Arc::clone(context);
    tokio::spawn(async move {
        while !context.stage.is_stopping() {
            sleep(limits::PROCESSES_TRIED_AGAIN).await;
            if can_fork(&context).await {
                context.health.clear(Condition::ProcessesExhausted);
                break;
            }
        }
        drop(turn);
    });
}

/// A task takes two processes at least: its worker and its own.
async fn can_fork(context: &TaskContext) -> bool {
    let Ok(first) = context.spawner.spawn().await else { return false };
    let second = context.spawner.spawn().await;
    first.end().await;
    match second {
        Ok(second) => {
            second.end().await;
            true
        }
        Err(_) => false,
    }
}
