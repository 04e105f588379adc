//! What the writer needs to send a task's events from a position on.

use tokio::sync::oneshot;

use crate::{
    delivery::{Follow, notification::Translator, pending::PendingRecords},
    task::{context::TaskContext, feed::Cursor, lookup::TaskRef},
};

/// `delivered` hears when the terminal event has been handed to the socket.
pub(super) fn follow(
    context: &TaskContext,
    task_id: &str,
    task: &TaskRef,
    after_seq: u64,
    delivered: oneshot::Sender<()>,
) -> Box<Follow> {
    let cursor = match task {
        TaskRef::Live(handle) => handle.feed().cursor_after(after_seq),
        TaskRef::Stored(_) => Cursor::over_log(context.log_path(task_id), after_seq),
    };
    let translator = Translator::new(task_id.to_owned(), task.pid().unwrap_or(0), after_seq);
    // A client that has the terminal event already does not get it again.
    let terminal = task
        .stored_end()
        .filter(|(_, last_seq)| after_seq < *last_seq)
        .map(|(completed, last_seq)| translator.terminal(&completed, last_seq));
    let (task_id, pending) = (task_id.to_owned(), PendingRecords::default());
    Box::new(Follow { task_id, cursor, pending, translator, terminal, delivered })
}
