//! The way of a task's output: from raw bytes to a bounded, append-only log, and back to a reader.
//!
//! In the order in which a byte travels:
//! - [`splitter`] cuts what a worker reads of a stream into lines and pieces.
//! - [`head_tail`] decides what is kept; `held_queue` is the memory of the tail.
//! - [`writer`] appends the records to the task log.
//! - [`reader`] gives them back to a supervisor, from any record on; `open` opens the file, `frames` is the window over it.
//! - [`summary`](mod@summary) says what the log of an ended task holds.
//! - [`recover`](mod@recover) makes a log whole after the death of its worker; `damaged` keeps what it cuts off.
//! - [`error`] says why a log cannot be read.
//!
//! Everything here is synchronous and single-threaded, knows no clock and starts nothing. The record format belongs to
//! [`cc_link::record`].

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

pub mod splitter;

pub mod head_tail;
mod held_queue;

pub mod writer;

mod frames;
mod open;
pub mod reader;

pub mod summary;

mod damaged;
pub mod recover;

pub mod error;

pub use damaged::{Cut, Kept, damaged_path};
pub use error::LogError;
pub use frames::FIRST_RECORD_OFFSET;
pub use head_tail::{HeadTail, HeldFragments, Placed};
pub use held_queue::HeldFragment;
pub use open::for_reading as open_for_reading;
pub use reader::LogReader;
pub use recover::{Recovered, recover};
pub use splitter::{Fragment, Splitter, StreamCounts};
pub use summary::{Summary, summary};
pub use writer::{LAST_EVENTS_BYTES, LogWriter};
