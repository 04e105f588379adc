//! What can happen to sessions, tasks and batches, as the supervisor's owners of them report it.
//!
//! A change says what has happened and not what to do. It may be repeated, and it may come too late: one
//! that has been made already keeps what was written first, and one about a session or task that is
//! not there is nothing. So a supervisor that does not know whether the last one had come this far
//! simply says it again.

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
        /// A uuid.
        id: String,
        /// SHA-256 of its resume token.
        token_hash: TokenHash,
        /// When.
        at_ms: u64,
    },
    /// It has lost its connection: its grace period runs.
    SessionDisconnected {
        /// Which.
        id: String,
        /// When; the first loss counts until it is connected again.
        at_ms: u64,
    },
    /// It has a connection again.
    SessionConnected {
        /// Which.
        id: String,
    },
    /// It cannot be resumed any more. It stays as a tombstone.
    SessionClosed {
        /// Which.
        id: String,
        /// When.
        at_ms: u64,
    },
    /// Nobody will ask again for sessions that were closed before this. Those that still have tasks stay.
    TombstonesPruned {
        /// When.
        before_ms: u64,
    },
    /// A task was accepted. Must be committed before its worker hears of it.
    TaskAccepted(Box<TaskAccepted>),
    /// Its main process runs.
    TaskStarted {
        /// Which.
        id: String,
        /// When.
        at_ms: u64,
        /// What its log says.
        started: Started,
    },
    /// It belongs to no session any more.
    TaskDetached {
        /// Which.
        id: String,
    },
    /// Its log holds the terminal event.
    TaskEnded {
        /// Which.
        id: String,
        /// When.
        at_ms: u64,
        /// The terminal event.
        completed: Box<Completed>,
        /// The terminal event's number.
        last_seq: u64,
        /// Size of its log.
        log_bytes: u64,
        /// Of a Claude task that came so far.
        result: Option<ResultSummary>,
    },
    /// A batch was submitted. Nothing happens where there is one under the same idempotency key.
    BatchSubmitted(Box<BatchRow>),
    /// A batch went a step. Must be committed before anything follows from it.
    BatchStepped(Box<BatchStep>),
    /// Batches that were over before this are not asked for any more.
    BatchesPruned {
        /// When.
        before_ms: u64,
    },
    /// Its log was removed. A task that has not ended is not forgotten.
    TaskForgotten {
        /// Which.
        id: String,
    },
}
