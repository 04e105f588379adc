//! What a supervisor and a worker say to each other, written once and used by both.
//!
//! Modules stand in the order in which they are used in a task's life: the supervisor sends a
//! [`spec::TaskSpec`] as the first [`control::Control`] line on the worker's stdin; the worker
//! answers with [`record::Record`]s on its stdout, whose contents are [`event::Event`]s and output.
//!
//! A supervisor that finds a worker of an earlier one [`adopt`]s it on the worker's socket; from
//! then on control lines and records travel there.
//!
//! This crate does no I/O: it turns values into bytes and bytes into values.

pub mod adopt;
pub mod control;
pub mod event;
pub mod record;
pub mod spec;

/// Version of everything in this crate that this build speaks best. A worker refuses a spec of a
/// version that it does not know.
pub const LINK_VERSION: u32 = 1;
/// The oldest version that this build still speaks.
pub const OLDEST_LINK_VERSION: u32 = 1;
