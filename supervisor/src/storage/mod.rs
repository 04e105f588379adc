//! What is on the disk: the database of sessions, tasks and batches, and the state directory with the tasks' logs.
//!
//! Everything that must survive this process is stored here before it is carried out.

pub(crate) mod database;
pub(crate) mod state_dir;
