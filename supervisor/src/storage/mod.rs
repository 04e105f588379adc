//! The disk: the state directory, and in it the database of sessions, tasks and batches.
//!
//! Owns the layout of the directory and the thread of the database. A change that must survive this process is committed
//! here before it is carried out. Nothing is removed here: `task/retention.rs` decides what is.

/// The thread that owns the database, and its handle.
pub(crate) mod database;
/// The key that is shown to processes of earlier supervisors.
pub(crate) mod adoption_key;
/// The layout of the state directory.
pub(crate) mod state_dir;
/// Whether it is still there, can be written, and has room.
pub(crate) mod watch;
/// The lock that makes one supervisor its only user.
pub(crate) mod lock;
/// A directory in it, which no other user may write to.
pub(crate) mod directory;
