//! The disk: the state directory, and in it the database of sessions, tasks and batches.
//!
//! Owns the layout of the directory and the thread of the database. A change that must survive this process is committed
//! here before it is carried out. Nothing is removed here: `task/retention.rs` decides what is.

/// The thread that owns the database, and its handle.
pub(crate) mod database;
/// The layout of the state directory, and its lock.
pub(crate) mod state_dir;
