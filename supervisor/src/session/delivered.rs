//! Waits for a task's terminal event to be handed to the socket.

use tokio::sync::oneshot;

/// A receiver that may be asked and awaited any number of times, in any order; a bare one panics when it is awaited after
/// it was asked. A writer that has gone counts as an end as well.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The call that has the task sent is not answered, so the writer does not know of the task yet.
    is_unanswered: bool,
    receiver: Option<oneshot::Receiver<()>>,
}

impl Delivered {
    /// Of a task whose call is not answered yet.
    pub(super) fn new(receiver: oneshot::Receiver<()>) -> Self {
        Self { is_unanswered: true, receiver: Some(receiver) }
    }

    /// Takes note that the answer to the call is queued, and what has the task sent after it.
    pub(super) fn answered(&mut self) {
        self.is_unanswered = false;
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.is_unanswered
    }

    /// Whether the event is still to be handed over.
    pub(super) fn is_pending(&mut self) -> bool {
        if self.is_unanswered {
            return true;
        }
        let Some(receiver) = &mut self.receiver else { return false };
        let is_pending = matches!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        if !is_pending {
            self.receiver = None;
        }
        is_pending
    }

    /// Returns once the event has been handed over; at once where the call is not answered: another call of its message
    /// would wait for what follows them both. Dropping the future loses nothing.
    pub(super) async fn wait(&mut self) {
        if self.is_unanswered {
            return;
        }
        if let Some(receiver) = &mut self.receiver {
            drop(receiver.await);
            self.receiver = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_may_be_asked_and_awaited_in_any_order_and_again() {
        for is_sent in [true, false] {
            for asks_first in [true, false] {
                let (sender, receiver) = oneshot::channel();
                let mut delivered = Delivered::new(receiver);
                delivered.wait().await;
                assert!(delivered.is_pending());
                delivered.answered();
                assert!(delivered.is_pending());
                if is_sent {
                    sender.send(()).unwrap();
                } else {
                    drop(sender);
                }
                if asks_first {
                    assert!(!delivered.is_pending());
                }
                delivered.wait().await;
                delivered.wait().await;
                assert!(!delivered.is_pending());
            }
        }
    }
}
