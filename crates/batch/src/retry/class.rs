//! What may follow an attempt's end, by what happened.

use serde::{Deserialize, Serialize};

use super::evidence::Want;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum Class {
    Done,
    /// The same may work soon.
    Transient {
        cause: Transient,
    },
    /// It works when the limit has ended.
    Limit {
        /// See [`super::UsageLimit::ends_at_ms`].
        ends_at_ms: Option<u64>,
    },
    /// It could not be started because a resource was missing that every task needs. The batch waits for it and counts
    /// no attempt.
    Unavailable {
        want: Want,
    },
    /// It was ended because its supervisor was stopped or had vanished. The same attempt is repeated, unless
    /// [`crate::plan::OnLost`] says to continue without it.
    Interrupted,
    /// It is not known how far it came: see [`crate::plan::OnLost`].
    Lost,
    /// A deadline: tried again only where the task says so.
    TimedOut,
    /// The same would fail again, or the task was canceled.
    Never {
        cause: Never,
    },
}

/// What passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transient {
    /// Too many requests, but no usage limit.
    RateLimit,
    /// The API's own trouble: 500 to 599, with 529 "overloaded".
    Server,
    /// No answer from the API.
    Connection,
    /// The CLI ended without a result before any tool ran.
    NoResult,
    /// A program that is not Claude said so (exit code 75).
    Temporary,
}

/// What does not pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    Auth,
    /// The API forbade the first request (403), and the CLI did not try again, as it does with a 401: it may have been a
    /// token that was just being renewed.
    Forbidden,
    /// It could not be started.
    SpawnFailed,
    /// The CLI refused its arguments.
    Arguments,
    /// The CLI ended without a result after a tool ran, or may have.
    NoResultAfterTool,
    /// A permission was denied.
    Permission,
    /// The CLI's own spending limit.
    Budget,
    /// The CLI's own limit of turns.
    MaxTurns,
    /// A client canceled it.
    Canceled,
    /// Too much output, where the policy is to kill.
    OutputLimit,
    /// The machine ran out of something.
    ResourceLimit,
    /// It ended before its work was done.
    Incomplete,
    /// The account cannot be used until a person acts.
    Account,
    /// There is no such model, or not for this account.
    ModelNotFound,
    /// The account does not pay for the long context of the model.
    LongContext,
    /// It failed for a reason of its own.
    Failed,
}
