//! The way of a task's output: from raw bytes to a bounded, append-only log, and back to a reader.
//!
//! Modules stand in the order in which a byte travels. The worker feeds what it reads to one
//! [`splitter::Splitter`] a stream, lets one [`head_tail::HeadTail`] decide what is kept, and
//! appends the records to the task log with a [`writer::LogWriter`]. The supervisor follows the log
//! with a [`reader::LogReader`], asks [`summary::summary`] what the log of an ended task holds, and after
//! the death of a worker makes it whole again with [`recover::recover`].
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
pub use head_tail::{HeadTail, HeldFragment, HeldFragments, Placed};
pub use reader::LogReader;
pub use recover::{Recovered, recover};
pub use splitter::{Fragment, Splitter, StreamCounts};
pub use summary::{Summary, summary};
pub use writer::{LAST_EVENTS_BYTES, LogWriter};

/// Where the first record of a task log is.
pub const FIRST_RECORD_OFFSET: u64 = cc_link::record::LOG_MAGIC.len() as u64;
