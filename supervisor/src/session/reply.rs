//! What a call comes to: its result, and what follows once the answer is queued.

use cc_protocol::{CallError, error::ErrorObject, execute::Execute};
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

    /// What the server itself is to blame for is logged: the client cannot mend it.
    pub(super) fn refused(error: CallError) -> Self {
        if let CallError::Internal { problem } = &error {
            tracing::error!(problem, "a call fails");
        }
        Self { result: Err(error.into()), then: Vec::new() }
    }

    pub(super) fn then(mut self, then: Then) -> Self {
        self.then.push(then);
        self
    }
}
