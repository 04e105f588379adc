//! Waits for a task's terminal event to be handed to the socket.

use tokio::sync::oneshot;

/// A receiver that may be asked and awaited any number of times, in any order; a bare one panics when it is awaited after
/// it was asked. A writer that has gone counts as an end as well.
#[derive(Debug)]
pub(super) struct Delivered(Option<oneshot::Receiver<()>>);

impl Delivered {
    pub(super) fn new(receiver: oneshot::Receiver<()>) -> Self {
        Self(Some(receiver))
    }

    pub(super) fn is_pending(&mut self) -> bool {
        let Some(receiver) = &mut self.0 else { return false };
        let is_pending = matches!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        if !is_pending {
            self.0 = None;
        }
        is_pending
    }

    /// Returns once the event has been handed over. Dropping the future loses nothing.
    pub(super) async fn wait(&mut self) {
        if let Some(receiver) = &mut self.0 {
            drop(receiver.await);
            self.0 = None;
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
