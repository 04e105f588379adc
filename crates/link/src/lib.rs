//! What a supervisor and a worker say to each other, written once and used by both.
//!
//! Modules stand in the order in which they are used in a task's life: the supervisor sends a
//! [`spec::TaskSpec`] as the first [`control::Control`] line on the worker's stdin; the worker
//! answers with [`record::Record`]s on its stdout, whose contents are [`event::Event`]s and output.
//!
//! This crate does no I/O: it turns values into bytes and bytes into values.

pub mod control;
pub mod event;
pub mod record;
pub mod spec;

/// Version of everything in this crate. A worker refuses a spec of a version that it does not know.
pub const LINK_VERSION: u32 = 1;
