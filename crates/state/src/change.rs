//! What can happen to sessions, tasks and batches, as the supervisor's owners of them report it.
//!
//! A change says what has happened and not what to do. It may be repeated, and it may come too late: a change that has been
//! made already keeps what was written first, and one about a session or task that does not exist does nothing. So a
//! supervisor that does not know whether its predecessor made a change can make it again.

use cc_events::{Completed, Started};

use crate::{
    batch::{BatchRow, BatchStep},
    row::{ResultSummary, TaskAccepted, TokenHash},
};

/// Something that has happened. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A client has a session. It must be there before its first task, in the same transaction at the latest.
    SessionBegun {
        id: String,
        /// SHA-256 of its resume token.
        token_hash: TokenHash,
        at_ms: u64,
        /// The name of the client's token.
        token: Option<String>,
    },
    /// A session has lost its connection: its grace period runs.
    SessionDisconnected {
        id: String,
        /// When; the first loss counts until it is connected again.
        at_ms: u64,
    },
    /// A session has a connection again.
    SessionConnected { id: String },
    /// A session cannot be resumed any more. It stays as a tombstone.
    SessionClosed { id: String, at_ms: u64 },
    /// The tombstones of sessions that were closed before this are removed, but for those that still have tasks.
    TombstonesPruned { before_ms: u64 },
    /// A task was accepted. Must be committed before its worker hears of it.
    TaskAccepted(Box<TaskAccepted>),
    /// The main process of a task was started.
    TaskStarted { id: String, at_ms: u64, started: Started },
    /// A task belongs to no session any more.
    TaskDetached { id: String },
    /// The log of a task holds the terminal event.
    TaskEnded {
        id: String,
        at_ms: u64,
        completed: Box<Completed>,
        last_seq: u64,
        log_bytes: u64,
        /// `None` for a task that is no Claude task or had no result line.
        result: Option<ResultSummary>,
    },
    /// A batch was submitted. Nothing happens where there is one under the same idempotency key.
    BatchSubmitted(Box<BatchRow>),
    /// A batch made a step. Must be committed before anything follows from it.
    BatchStepped(Box<BatchStep>),
    /// Batches that were over before this are removed.
    BatchesPruned { before_ms: u64 },
    /// The log of a task was removed. A task that has not ended is not forgotten.
    TaskForgotten { id: String },
}
