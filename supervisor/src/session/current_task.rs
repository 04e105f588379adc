//! The session's latest task whose events go to this connection, and how far they have been sent.

use std::mem;

use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct CurrentTask {
    pub(super) task_id: String,
    delivery: Delivery,
}

/// The receivers hear when the terminal event has been handed to the socket.
#[derive(Debug)]
enum Delivery {
    /// The call that made the task current is not answered, so nothing of the task is sent yet.
    Unanswered(oneshot::Receiver<()>),
    UnderWay(oneshot::Receiver<()>),
    Done,
}

impl CurrentTask {
    /// A task whose call is not answered yet; `delivered` hears when its terminal event is sent.
    pub(super) fn new(task_id: String, delivered: oneshot::Receiver<()>) -> Self {
        Self { task_id, delivery: Delivery::Unanswered(delivered) }
    }

    /// Takes note that the answer to its call is queued.
    pub(super) fn answered(&mut self) {
        self.delivery = match mem::replace(&mut self.delivery, Delivery::Done) {
            Delivery::Unanswered(delivered) | Delivery::UnderWay(delivered) => {
                Delivery::UnderWay(delivered)
            }
            Delivery::Done => Delivery::Done,
        };
    }

    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.delivery, Delivery::Unanswered(_))
    }

    /// Whether its terminal event is still to be sent.
    pub(super) fn is_being_sent(&mut self) -> bool {
        match &mut self.delivery {
            Delivery::Unanswered(_) => true,
            Delivery::UnderWay(delivered) => is_pending(delivered),
            Delivery::Done => false,
        }
    }

    /// Returns when its terminal event has been handed to the socket; at once where its call is not answered yet.
    /// Dropping the future loses nothing.
    pub(super) async fn delivered(&mut self) {
        if let Delivery::UnderWay(delivered) = &mut self.delivery {
            // An error is an end as well.
            drop(delivered.await);
            self.delivery = Delivery::Done;
        }
    }
}

/// Whether the receiver has still to hear.
pub(super) fn is_pending(delivered: &mut oneshot::Receiver<()>) -> bool {
    matches!(delivered.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}
