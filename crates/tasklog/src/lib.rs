//! The way of a task's output: from raw bytes to a bounded, append-only log, and back to a reader.
//!
//! Modules in the order in which a byte travels. The worker feeds what it reads to one [`splitter`] a stream, lets
//! [`head_tail`] decide what is kept (`held_queue` holds the tail), and appends the records to the task log with the
//! [`writer`]. The supervisor follows the log with a [`reader`], asks [`summary`](mod@summary) what the log of an ended task
//! holds, and after the death of a worker has [`recover`](mod@recover) make it whole again; all three move over it by
//! `frames`. [`error`] says what may fail.
//!
//! Everything here is synchronous and single-threaded, knows no clock and starts nothing; the
//! record format itself belongs to [`cc_link::record`].

#![allow(missing_docs, reason = "only crates that others use document every item")]
#![warn(unreachable_pub)]

pub mod splitter;

pub mod head_tail;
mod held_queue;

pub mod writer;

mod frames;
pub mod reader;

pub mod summary;

pub mod recover;

pub mod error;

pub use error::LogError;
pub use frames::FIRST_RECORD_OFFSET;
pub use head_tail::{HeadTail, HeldFragments, Placed};
pub use held_queue::HeldFragment;
pub use reader::LogReader;
pub use recover::{Recovered, recover};
pub use splitter::{Fragment, Splitter, StreamCounts};
pub use summary::{Summary, summary};
pub use writer::{LAST_EVENTS_BYTES, LogWriter};
