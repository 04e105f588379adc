//! The session's latest task whose events go to this connection, and how far they have been sent.

use tokio::sync::oneshot;

use crate::session::delivered::Delivered;

#[derive(Debug)]
pub(super) struct CurrentTask {
    pub(super) task_id: String,
    pub(super) delivered: Delivered,
}

impl CurrentTask {
    /// A task whose call is not answered yet; `delivered` hears when its terminal event is sent.
    pub(super) fn new(task_id: String, delivered: oneshot::Receiver<()>) -> Self {
        Self { task_id, delivered: Delivered::new(delivered) }
    }
}
