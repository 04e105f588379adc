//! What can happen to a task.
//!
//! These types are the words that a worker's records, the task log, the wire of the clients and the database share, so
//! that a task's end is the same value in all of them. This crate knows nothing of how they are carried: no I/O, no
//! codec, no versions.

mod event;

pub use event::*;
