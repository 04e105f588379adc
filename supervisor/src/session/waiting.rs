//! An `execute` that waits: it came after a cancel was answered, and before the canceled task's process tree was gone.
//!
//! ```text
//!   execute ──▶ waiting ──── the tree is gone, and the client has been sent the end ────▶ started
//!                  │
//!                  ├── another cancel, the session's close, the supervisor's stop ──────▶ refused
//!                  └── the connection ends, or another one takes the session ───────────▶ dropped: it never starts
//! ```
//! At most one waits on a connection. The calls of its message that come after it wait with it, so that a batch is
//! answered as a whole; every other message is answered meanwhile. [`crate::session::due`] starts it.

use cc_protocol::{CallError, envelope::Id, execute::Execute};

use crate::{session::message::Message, task::TaskHandle};

#[derive(Debug)]
pub(super) struct WaitingExecute {
    /// The call's; `None` for a notification.
    pub(super) id: Option<Id>,
    pub(super) execute: Box<Execute>,
    /// The task that has to be gone first.
    pub(super) canceled: TaskHandle,
    /// The calls that follow in its message, and the responses to those before it.
    pub(super) message: Message,
    /// Why it is not started after all.
    pub(super) refusal: Option<CallError>,
}

impl WaitingExecute {
    /// Of the task that it waits for.
    pub(super) fn canceled_task_id(&self) -> &str {
        self.canceled.task_id()
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// A first refusal stays.
    pub(super) fn refuse(&mut self, refusal: CallError) {
        self.refusal.get_or_insert(refusal);
    }
}
