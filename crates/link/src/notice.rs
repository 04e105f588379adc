//! What a worker says to its supervisor beside the log.

use cc_events::EndReason;
use serde::{Deserialize, Serialize};

use crate::adopt::{Adopted, VersionRange};

/// A worker whose supervisor is there gives a sign of life this often, whatever it does, milliseconds.
pub const SIGN_OF_LIFE_MS: u64 = 5_000;

/// A message outside the log: it has no number and is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// A sign of life: unasked, every [`SIGN_OF_LIFE_MS`], and as the answer to [`crate::control::Control::Ping`].
    Pong {
        /// The one of the ping; 0 for one that was not asked for.
        nonce: u64,
        /// Of the worker program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// Answer to [`crate::control::Control::Adopt`]: the sender is the worker's supervisor. The records after the named
    /// position of the task log follow on this connection.
    Adopted(Box<Adopted>),
    /// Answer to [`crate::control::Control::Adopt`]: there is no version of the link that both speak. The worker closes
    /// the connection and its task runs on.
    AdoptionRefused {
        /// The versions that the worker speaks.
        versions: VersionRange,
    },
    /// The task is being ended; its terminal event comes within the grace period and the kill bound.
    Ending {
        /// Why it is ended.
        reason: EndReason,
    },
}
