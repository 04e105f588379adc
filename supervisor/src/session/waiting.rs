//! An `execute` that waits: it came after a cancel was answered, and before the canceled task's process tree was gone.
//!
//! ```text
//!   execute ──▶ waiting ──── the tree is gone, and the client has been sent the end ────▶ started
//!                  │
//!                  ├── 30 s, where its message keeps others from being read ───────────────▶ refused
//!                  ├── another cancel, the session's close, the supervisor's stop ──────▶ refused
//!                  └── the connection ends, or another one takes the session ───────────▶ dropped: it never starts
//! ```
//! At most one waits on a connection. The calls of its message that come after it wait with it, so that a batch is
//! answered as a whole; every other message is answered meanwhile. [`crate::session::due`] starts it.

use cc_protocol::{CallError, envelope::Id, execute::Execute};
use tokio::time::Instant;

use crate::{config::limits, session::message::Message, task::TaskHandle};

#[derive(Debug)]
pub(super) struct WaitingExecute {
    /// The call's; `None` for a notification.
    pub(super) id: Option<Id>,
    pub(super) execute: Box<Execute>,
    /// The task that has to be gone first.
    pub(super) canceled: TaskHandle,
    /// The calls that follow in its message, and the responses to those before it.
    pub(super) message: Message,
    /// When it began to wait.
    pub(super) since: Instant,
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

    /// When it has waited for as long as a message may that takes room from others. What it waits for includes that the
    /// client reads, which it may never do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.message.has_claims().then(|| self.since + limits::MESSAGE_WAIT)
    }

    /// Refuses it as what comes while a task runs.
    pub(super) fn refuse_late(&mut self) {
        let task_id = self.canceled_task_id().to_owned();
        self.refuse(CallError::TaskRuns { task_id });
    }

    /// A first refusal stays.
    pub(super) fn refuse(&mut self, refusal: CallError) {
        self.refusal.get_or_insert(refusal);
    }
}
