//! How the daemon ends. What becomes of the running tasks is decided by [`Stop`] and `--on-stop`.
//!
//! | step | tasks end | tasks are kept |
//! |---|---|---|
//! | 1 | no connection is accepted any more, no new tasks: at once | the same |
//! | 2 | every task is canceled, its client gets the terminal event: grace + 5 s, or a second signal | only tasks whose workers must not run without a supervisor; starts under way are waited for: 5 s |
//! | 3 | what is left is killed; workers that do not react are killed with what is left of their trees: 20 s | the same, for those |
//! | 4 | connections are closed with 1001 when their client has been sent everything: 5 s | with 1012, at once |
//! | 5 | keepers exit | a keeper exits with its last worker |
//! | 6 | the cgroup's parent directory is removed | if it is empty |
//!
//! A worker that is left after that does what its spec says for the loss of its supervisor: a kept worker runs its
//! task to the end and waits for the next supervisor; another one kills its tree and exits.

use cc_events::EndReason;
use tokio::sync::watch;

use crate::{
    config::{limits, settings::choices::OnStop},
    daemon::signals::{Stop, Stops},
    http::Places,
    ops::{stage::Stage, systemd, uptime::timeout},
    task::{Request, TaskHandle, context::TaskContext},
};

/// What a stop has left running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// No task that could be ended.
    Nothing,
    /// Tasks for the next supervisor.
    Tasks,
}

/// Waits until the supervisor is told to stop, or has `lost` its state directory; then ends all tasks or leaves them to the
/// next supervisor.
pub(super) async fn end(
    context: &TaskContext,
    mut stops: Stops,
    to_stage: &watch::Sender<Stage>,
    places: &Places,
    lost: impl Future<Output = ()>,
) -> Left {
    let (stop, cause) = tokio::select! {
        stop = stops.next() => stop,
        // No supervisor could find the tasks again. There are none any more.
        () = lost => (Stop::EndTasks, "the state directory is gone"),
    };
    let stage = stage_of(stop, context.config().on_stop);
    let count = context.registry.count();
    to_stage.send_replace(stage);
    let tasks = context.registry.close();
    let left = match stage {
        Stage::Leaving => {
            tracing::info!(
                tasks = count,
                cause,
                "stopping: running tasks are left to the next supervisor"
            );
            systemd::stopping("leaving the running tasks to the next supervisor");
            keep_tasks(context, &mut stops, tasks).await;
            Left::Tasks
        }
        Stage::Serving | Stage::Stopping => {
            tracing::info!(tasks = count, cause, "stopping: all tasks are ended");
            systemd::stopping("ending all tasks");
            end_tasks(context, &mut stops, &tasks).await;
            Left::Nothing
        }
    };
    if timeout(limits::SHUTDOWN_CONNECTIONS, places.ended()).await.is_err() {
        tracing::warn!("some clients did not read everything that was sent to them");
    }
    context.spawner.close(left == Left::Nothing).await;
    left
}

fn stage_of(stop: Stop, on_stop: OnStop) -> Stage {
    match (stop, on_stop) {
        (Stop::KeepTasks, _) | (Stop::AsConfigured, OnStop::KeepTasks) => Stage::Leaving,
        (Stop::EndTasks, _) | (Stop::AsConfigured, OnStop::EndTasks) => Stage::Stopping,
    }
}

async fn end_tasks(context: &TaskContext, stops: &mut Stops, tasks: &[TaskHandle]) {
    ask_all(tasks, || Request::Cancel(EndReason::SupervisorLost, None)).await;
    let patience = context.config().task.grace + limits::SHUTDOWN_TASKS;
    let have_ended = tokio::select! {
        outcome = timeout(patience, all_over(tasks)) => outcome.is_ok(),
        () = told_again(stops) => {
            tracing::warn!("told to stop again: tasks are killed without further grace");
            false
        }
    };
    if !have_ended {
        ask_all(tasks, || Request::Kill(EndReason::SupervisorLost)).await;
        if timeout(limits::SHUTDOWN_KILL, all_over(tasks)).await.is_err() {
            tracing::error!(tasks = context.registry.count(), "tasks could not be ended");
        }
    }
}

/// Waits until the workers can run without a supervisor, and ends the tasks of those that must not.
async fn keep_tasks(context: &TaskContext, stops: &mut Stops, tasks: Vec<TaskHandle>) {
    let (kept, ended): (Vec<_>, Vec<_>) = tasks.into_iter().partition(TaskHandle::can_be_kept);
    if !ended.is_empty() {
        tracing::warn!(
            tasks = ended.len(),
            "tasks end: their workers must not run without a supervisor"
        );
        end_tasks(context, stops, &ended).await;
    }
    // A worker that is left before it has its spec would never start its task.
    let decided = async {
        for task in &kept {
            task.is_decided().await;
        }
    };
    if timeout(limits::SHUTDOWN_STARTS, decided).await.is_err() {
        tracing::warn!("a task was still being started");
    }
    tracing::info!(tasks = kept.len(), "tasks are left to the next supervisor");
}

/// Returns when the owners of all these tasks are done.
async fn all_over(tasks: &[TaskHandle]) {
    for task in tasks {
        task.is_over().await;
    }
}

/// Returns when the supervisor is told to stop once more. An order to keep the tasks comes too late.
async fn told_again(stops: &mut Stops) {
    while stops.next().await.0 == Stop::KeepTasks {}
}

async fn ask_all(tasks: &[TaskHandle], request: impl Fn() -> Request) {
    for task in tasks {
        task.request(request()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigint_always_ends_the_tasks_and_sigusr1_never_does() {
        for on_stop in [OnStop::EndTasks, OnStop::KeepTasks] {
            assert_eq!(stage_of(Stop::EndTasks, on_stop), Stage::Stopping);
            assert_eq!(stage_of(Stop::KeepTasks, on_stop), Stage::Leaving);
        }
        assert_eq!(stage_of(Stop::AsConfigured, OnStop::EndTasks), Stage::Stopping);
        assert_eq!(stage_of(Stop::AsConfigured, OnStop::KeepTasks), Stage::Leaving);
    }
}
