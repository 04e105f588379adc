//! What a session has its writer do: all messages from the one to the other.

use tokio::sync::oneshot;

use crate::{
    delivery::{notification::Translator, pending::PendingRecords},
    task::feed::Cursor,
};

/// A message to the writer of a connection.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Text(String),
    /// Send this text, and answer when it was handed to the socket.
    Awaited(String, oneshot::Sender<()>),
    /// Send a WebSocket ping.
    Ping,
    /// Stop reading cursors, so that an answer can be sent before the event that it causes.
    Hold,
    /// Read cursors again.
    Release,
    /// Send a task's notifications after those of the session's earlier tasks.
    Follow(Box<Follow>),
    /// Send a task's notifications beside all that is followed.
    Attach(Box<Follow>),
    /// Send no more notifications of this attached task.
    Detach(String),
    /// Whether lines that are ready together are sent together.
    Batch(bool),
    /// Answer when nothing is followed any more.
    TellWhenIdle(oneshot::Sender<()>),
}

/// A task to follow to its end.
#[derive(Debug)]
pub(crate) struct Follow {
    pub task_id: String,
    pub cursor: Cursor,
    /// Records that were read and are not sent yet.
    pub pending: PendingRecords,
    pub translator: Translator,
    /// The terminal event as a text, for the case that the log has lost it.
    pub terminal: Option<String>,
    /// Answered when the terminal event was handed to the socket.
    pub delivered: oneshot::Sender<()>,
}
