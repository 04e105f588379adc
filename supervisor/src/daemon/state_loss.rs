//! What is done when the state directory is removed, moved or replaced while the supervisor runs.
//!
//! Nothing that is written now would be found by the next supervisor, and what has this directory's path may be another
//! supervisor's. So no task is accepted any more. Those that run are brought to their ends, which their clients are sent;
//! then the supervisor stops, and its exit status says that it did not do so by request.

use std::{path::PathBuf, sync::Arc};

use crate::{
    ops::health::Condition,
    storage::{state_dir::StateDir, watch},
    task::context::TaskContext,
};

/// The state directory is gone.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state directory {} was removed or replaced while this supervisor ran: it took no new tasks, brought the running \
     ones to their ends and stopped; start it again",
    .0.display()
)]
pub(super) struct StateLost(PathBuf);

/// Returns when the state directory is gone and no task runs any more.
pub(super) async fn lost(state_dir: Arc<StateDir>, context: Arc<TaskContext>) {
    let try_database = || context.store.try_again();
    watch::until_lost(Arc::clone(&state_dir), Arc::clone(&context.health), try_database).await;
    context.registry.state_is_lost();
    let text = format!(
        "the state directory {} was removed or replaced while this supervisor ran: no task is accepted any more, and the \
         supervisor stops when the running ones have ended; start it again then",
        state_dir.path().display()
    );
    tracing::error!(tasks = context.registry.count(), "{text}");
    context.health.raise(Condition::StateDirectory, text);
    context.registry.emptied().await;
}

/// # Errors
/// When the state directory is gone.
pub(super) fn check(state_dir: &StateDir) -> Result<(), StateLost> {
    match state_dir.lock().is_in_place() {
        true => Ok(()),
        false => Err(StateLost(state_dir.path().to_owned())),
    }
}
