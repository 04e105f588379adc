//! An `execute` that waits: it came after a cancel was answered, and before the canceled task's tree was gone.
//!
//! ```text
//!   execute ──▶ Waiting ──── the tree is gone, and the client has been sent the end ────▶ started
//!                  │
//!                  ├── another cancel, the session's close, the supervisor's stop ──────▶ refused
//!                  └── the connection ends, or another one takes the session ───────────▶ forgotten: it never starts
//! ```
//! At most one waits on a connection. The calls of its message that come after it wait with it, so that a batch is
//! answered as a whole; every other message is answered meanwhile.

use std::vec;

use cc_protocol::{
    envelope::{Call, Id, Incoming, Response},
    error::ErrorObject,
    execute::Execute,
};

use crate::{
    ops::stage::StageWatch,
    session::{
        handler::{self, Delivery, Gone, Handler},
        response,
    },
    task::TaskHandle,
};

/// What a client has sent in one piece, as far as it is not answered.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) calls: vec::IntoIter<Result<Call, Response>>,
    pub(crate) responses: Vec<Response>,
    is_batch: bool,
}

impl Message {
    /// As it was read.
    pub(crate) fn of(read: Result<Incoming, Response>) -> Self {
        let (calls, is_batch) = match read {
            Ok(Incoming::Single(call)) => (vec![call], false),
            Ok(Incoming::Batch(calls)) => (calls, true),
            Err(response) => (vec![Err(response)], false),
        };
        Self { calls: calls.into_iter(), responses: Vec::new(), is_batch }
    }

    /// The text that answers it; nothing where it had only notifications.
    pub(crate) fn answer(&self) -> Option<String> {
        if self.is_batch && !self.responses.is_empty() {
            return Some(response::batch(&self.responses));
        }
        self.responses.first().map(response::single)
    }
}

/// What a call comes to.
pub(crate) enum Reply {
    /// Its response, unless it was a notification.
    Now(Option<Response>),
    /// It waits for its turn.
    Later(Wish),
}

/// An `execute` whose turn has not come.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Of the call; none where it was a notification.
    pub(crate) id: Option<Id>,
    /// What is to be started.
    pub(crate) execute: Box<Execute>,
    /// The task that is to be gone before.
    pub(crate) canceled: TaskHandle,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Waiting {
    wish: Wish,
    /// What follows in its message, and what was answered before.
    message: Message,
    /// Why it is not to be started.
    refusal: Option<ErrorObject>,
}

impl Waiting {
    pub(crate) fn new(wish: Wish, message: Message) -> Self {
        Self { wish, message, refusal: None }
    }

    /// Of the task that it waits for.
    pub(crate) fn task_id(&self) -> &str {
        self.wish.canceled.task_id()
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }
}

/// What there is to do for a connection that was sent nothing.
#[derive(Debug)]
pub enum Due {
    /// It may be closed, with this close frame.
    Leave(u16, &'static str),
    /// What waits has its turn: [`Handler::take_turn`].
    Turn,
}

impl Handler {
    /// Returns when there is something to do. Dropping the future loses nothing.
    pub async fn due(&mut self, stage: &StageWatch) -> Due {
        if self.waiting.is_some() {
            // Boxed: few connections ever wait for this.
            Box::pin(self.turn(stage)).await;
            return Due::Turn;
        }
        let (code, reason) = self.may_leave(stage).await;
        Due::Leave(code, reason)
    }

    async fn turn(&mut self, stage: &StageWatch) {
        tokio::select! {
            () = self.canceled_task_is_gone() => {}
            () = stage.stopping() => {}
        }
    }

    async fn canceled_task_is_gone(&mut self) {
        let Some(waiting) = self.waiting.as_ref().filter(|waiting| !waiting.is_refused()) else {
            return;
        };
        let canceled = waiting.wish.canceled.clone();
        let is_followed = self.current.as_ref().is_some_and(|current| {
            current.task_id == canceled.task_id() && !matches!(current.delivery, Delivery::Done)
        });
        if is_followed {
            self.delivered().await;
        }
        // The log may have broken off before the end.
        if !canceled.is_done() {
            canceled.is_over().await;
        }
    }

    /// Answers what waits, and the rest of its message.
    ///
    /// # Errors
    /// When the writer is gone.
    pub async fn take_turn(&mut self) -> Result<(), Gone> {
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        let Waiting { wish, mut message, refusal } = *waiting;
        let mut after = Vec::new();
        let result = match refusal {
            Some(refusal) => Err(refusal),
            None => self.start(*wish.execute, &mut after).await,
        };
        message.responses.extend(wish.id.map(|id| handler::response(id, result)));
        self.go_through(message, after).await
    }

    /// Has what waits answered with this error, if anything does.
    pub(crate) fn refuse_waiting(&mut self, refusal: fn() -> ErrorObject) -> bool {
        let Some(waiting) = &mut self.waiting else { return false };
        waiting.refusal.get_or_insert_with(refusal);
        true
    }
}
