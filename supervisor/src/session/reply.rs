//! What a call comes to: its result, and what follows once the answer is queued.

use cc_protocol::{error::ErrorObject, execute::Execute};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{batch::Attachment, delivery::Outgoing, task::TaskHandle};

/// What a call comes to.
pub(super) enum CallOutcome {
    Replied(Reply),
    /// An `execute` that cannot start before the canceled task is gone.
    Waits {
        execute: Box<Execute>,
        canceled: TaskHandle,
    },
}

/// The answer to a call. An error can have something that follows it, as a held writer is released either way.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) result: Result<Value, ErrorObject>,
    /// In this order.
    pub(super) then: Vec<Then>,
}

/// What is done after the answer to a call's message is queued, so that the client reads the answer first.
#[derive(Debug)]
pub(super) enum Then {
    Send(Outgoing),
    /// Begin to send what changes in a batch.
    FollowBatch(Box<Attachment>),
    CloseSession,
}

impl Reply {
    pub(super) fn new(result: impl Serialize) -> Self {
        Self { result: Ok(json!(result)), then: Vec::new() }
    }

    pub(super) fn then(mut self, then: Then) -> Self {
        self.then.push(then);
        self
    }
}

impl From<ErrorObject> for Reply {
    fn from(error: ErrorObject) -> Self {
        Self { result: Err(error), then: Vec::new() }
    }
}
