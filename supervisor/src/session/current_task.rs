//! The session's latest task whose events go to this connection, and how far they have been sent.

use tokio::sync::oneshot;

use crate::session::delivered::Delivered;

#[derive(Debug)]
pub(super) struct CurrentTask {
    pub(super) task_id: String,
    /// The call that made the task current is not answered, so nothing of the task is sent yet.
    is_unanswered: bool,
    delivered: Delivered,
}

impl CurrentTask {
    /// A task whose call is not answered yet; `delivered` hears when its terminal event is sent.
    pub(super) fn new(task_id: String, delivered: oneshot::Receiver<()>) -> Self {
        Self { task_id, is_unanswered: true, delivered: Delivered::new(delivered) }
    }

    /// Takes note that the answer to its call is queued.
    pub(super) fn answered(&mut self) {
        self.is_unanswered = false;
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.is_unanswered
    }

    /// Whether its terminal event is still to be sent.
    pub(super) fn is_being_sent(&mut self) -> bool {
        self.is_unanswered || self.delivered.is_pending()
    }

    /// Returns when its terminal event has been handed to the socket; at once where its call is not answered yet.
    /// Dropping the future loses nothing.
    pub(super) async fn delivered(&mut self) {
        if !self.is_unanswered {
            self.delivered.wait().await;
        }
    }
}
