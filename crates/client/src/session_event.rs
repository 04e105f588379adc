//! What a [`crate::Session`] reports to its caller.

use std::time::Duration;

use cc_protocol::error::ErrorObject;

use crate::{batches::BatchAnswer, error::Error, event::Received};

/// What happens on a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// The task that was asked for runs. Its events follow.
    Started(StartedTask),
    /// The task that was asked for was not started; nothing of it follows.
    NotStarted(ErrorObject),
    /// Something happened to a task. A batch of lines comes as single ones.
    Notification(Box<Received>),
    /// The control with this number was done or refused.
    Controlled {
        /// As [`crate::Session::control`] returned it.
        id: u64,
        /// Whether it was done.
        outcome: Result<(), ErrorObject>,
    },
    /// A task cannot be followed.
    AttachRefused {
        /// The task, as it was given to [`crate::Session::attach`].
        task_id: String,
        /// The server's answer.
        error: ErrorObject,
    },
    /// What was asked about a batch is answered.
    Batch {
        /// As [`crate::Session::ask_batch`] returned it.
        id: u64,
        /// What the server answered, or its error.
        outcome: Result<BatchAnswer, ErrorObject>,
    },
    /// There is no connection at the moment.
    Reconnecting {
        /// Which attempt comes next, from 1 in each outage.
        attempt: u32,
        /// Why there is none.
        error: Error,
        /// Until the attempt.
        delay: Duration,
    },
    /// There is a connection again, and nothing was lost.
    Reconnected,
}

/// A task that runs, or ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedTask {
    /// uuid v7.
    pub task_id: String,
    /// Its main process; none where the answer was lost and it has ended since.
    pub pid: Option<i32>,
}
