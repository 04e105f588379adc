//! What the server says unasked.
//!
//! Each struct is the `params` of one notification; [`Notification`] names them. Fields that only
//! newer clients know stand after the ones that every client depends on.

mod claude;
mod connected;
mod output;
mod process;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::{
    claude::{LimitExceeded, TaskResult, TaskRetrying},
    connected::{Connected, Limits},
    output::{OutputBatch, OutputDropped, OutputItem, ProcessOutput},
    process::{ProcessCompleted, ProcessError, ProcessStatus},
};
pub use crate::position::Position;
use crate::{
    batch::{BatchCompleted, BatchProgress},
    envelope,
    worker::Alert,
};

/// A notification: `method` and `params`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params")]
pub enum Notification<'a> {
    /// The first message of every connection.
    #[serde(rename = "connected")]
    Connected(Connected),
    /// The main process runs.
    #[serde(rename = "process.started")]
    Started(ProcessStatus),
    /// One line of output with its newline, or a piece of one.
    #[serde(rename = "process.output", borrow)]
    Output(ProcessOutput<'a>),
    /// Several of them; only on a session that asked for it.
    #[serde(rename = "process.output_batch", borrow)]
    OutputBatch(OutputBatch<'a>),
    /// The whole tree is stopped.
    #[serde(rename = "process.paused")]
    Paused(ProcessStatus),
    /// The whole tree runs again.
    #[serde(rename = "process.resumed")]
    Resumed(ProcessStatus),
    /// The task is being ended on request; `process.completed` comes when the tree is gone.
    #[serde(rename = "process.canceled")]
    Canceled(ProcessStatus),
    /// The terminal event of a task.
    #[serde(rename = "process.completed")]
    Completed(Box<ProcessCompleted>),
    /// Something went wrong outside any request.
    #[serde(rename = "process.error")]
    Error(ProcessError),
    /// The task's output reports a rate limit.
    #[serde(rename = "error.rate_limit_exceeded")]
    RateLimited(LimitExceeded),
    /// The task's output reports a token limit.
    #[serde(rename = "error.token_limit_exceeded")]
    TokenLimited(LimitExceeded),
    /// The middle of an over-long output was dropped here.
    #[serde(rename = "output.dropped")]
    OutputDropped(OutputDropped),
    /// The result of a Claude task, before its `process.completed`.
    #[serde(rename = "task.result")]
    TaskResult(Box<TaskResult>),
    /// The Claude CLI tries an API request again.
    #[serde(rename = "task.retrying")]
    TaskRetrying(TaskRetrying),
    /// Something has changed in a batch that this connection is attached to.
    #[serde(rename = "batch.progress")]
    BatchProgress(Box<BatchProgress>),
    /// Such a batch is over.
    #[serde(rename = "batch.completed")]
    BatchCompleted(Box<BatchCompleted>),
    /// A condition stands, or does not stand any more; only on a connection that has subscribed.
    #[serde(rename = "supervisor.alert")]
    Alert(Box<Alert>),
}

impl Notification<'_> {
    /// The method of every notification, so that a client can tell an unknown one, which it skips,
    /// from a known one that it cannot read, which is an error.
    pub const METHODS: [&'static str; 17] = [
        "connected",
        "process.started",
        "process.output",
        "process.output_batch",
        "process.paused",
        "process.resumed",
        "process.canceled",
        "process.completed",
        "process.error",
        "error.rate_limit_exceeded",
        "error.token_limit_exceeded",
        "output.dropped",
        "task.result",
        "task.retrying",
        "batch.progress",
        "batch.completed",
        "supervisor.alert",
    ];

    /// Which event of which task it is. None for what is no event, and for a batch, which is several.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Started(params)
            | Self::Paused(params)
            | Self::Resumed(params)
            | Self::Canceled(params) => Some(&params.position),
            Self::Output(params) => Some(&params.position),
            Self::Completed(params) => Some(&params.position),
            Self::RateLimited(params) | Self::TokenLimited(params) => Some(&params.position),
            Self::OutputDropped(params) => Some(&params.position),
            Self::TaskResult(params) => Some(&params.position),
            Self::TaskRetrying(params) => Some(&params.position),
            Self::Connected(_)
            | Self::Error(_)
            | Self::OutputBatch(_)
            | Self::BatchProgress(_)
            | Self::BatchCompleted(_)
            | Self::Alert(_) => None,
        }
    }

    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Notification<'static> {
        match self {
            Self::Connected(params) => Notification::Connected(params),
            Self::Started(params) => Notification::Started(params),
            Self::Output(params) => Notification::Output(params.into_owned()),
            Self::OutputBatch(params) => Notification::OutputBatch(params.into_owned()),
            Self::Paused(params) => Notification::Paused(params),
            Self::Resumed(params) => Notification::Resumed(params),
            Self::Canceled(params) => Notification::Canceled(params),
            Self::Completed(params) => Notification::Completed(params),
            Self::Error(params) => Notification::Error(params),
            Self::RateLimited(params) => Notification::RateLimited(params),
            Self::TokenLimited(params) => Notification::TokenLimited(params),
            Self::OutputDropped(params) => Notification::OutputDropped(params),
            Self::TaskResult(params) => Notification::TaskResult(params),
            Self::TaskRetrying(params) => Notification::TaskRetrying(params),
            Self::BatchProgress(params) => Notification::BatchProgress(params),
            Self::BatchCompleted(params) => Notification::BatchCompleted(params),
            Self::Alert(params) => Notification::Alert(params),
        }
    }
}

/// A notification with its envelope, as it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message<'a> {
    /// Always `"2.0"`.
    pub jsonrpc: Cow<'a, str>,
    /// Method and parameters.
    #[serde(flatten, borrow)]
    pub notification: Notification<'a>,
}

impl<'a> Message<'a> {
    /// Puts the envelope around a notification.
    #[must_use]
    pub fn new(notification: Notification<'a>) -> Self {
        Self { jsonrpc: Cow::Borrowed(envelope::VERSION), notification }
    }
}

#[cfg(test)]
mod tests;
