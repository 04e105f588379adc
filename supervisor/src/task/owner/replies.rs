//! Senders that wait for an answer. A receiver that has gone is no error: a session may end at any time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::task::handle::{ControlReply, StartOutcome};

/// Answers how a task's start went, once. Clones are the same one: the owner's lifeline has the second.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartReply(Arc<Mutex<Option<oneshot::Sender<StartOutcome>>>>);

impl StartReply {
    pub(super) fn new(sender: oneshot::Sender<StartOutcome>) -> Self {
        Self(Arc::new(Mutex::new(Some(sender))))
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.sender().is_some()
    }

    pub(super) fn send(&self, outcome: StartOutcome) {
        let sender = self.sender().take();
        if let Some(sender) = sender {
            drop(sender.send(outcome));
        }
    }

    fn sender(&self) -> MutexGuard<'_, Option<oneshot::Sender<StartOutcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests for the same thing that wait for the worker's confirmation.
#[derive(Debug, Default)]
pub(super) struct PendingReplies(Vec<oneshot::Sender<ControlReply>>);

impl PendingReplies {
    pub(super) fn push(&mut self, sender: oneshot::Sender<ControlReply>) {
        self.0.push(sender);
    }

    pub(super) fn answer_all(&mut self, with: ControlReply) {
        for sender in self.0.drain(..) {
            answer(sender, with);
        }
    }
}

pub(super) fn answer(sender: oneshot::Sender<ControlReply>, with: ControlReply) {
    sender.send(with).ok();
}
