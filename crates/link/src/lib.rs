//! What a supervisor and a worker say to each other, written once and used by both.
//!
//! Modules stand in the order in which they are used in a task's life: the supervisor sends a
//! [`spec::TaskSpec`] as the first [`control::Control`] line on the worker's stdin; the worker
//! answers with [`record::Record`]s on its stdout, whose contents are [`cc_events::Event`]s and output, whole
//! lines of it together.
//!
//! A supervisor that finds a worker of an earlier one [`adopt`]s it on the worker's socket; from
//! then on control lines and records travel there.
//!
//! Before all that the worker was forked by a [`keeper`], which is asked when it has died.
//!
//! This crate does no I/O: it turns values into bytes and bytes into values.

pub mod adopt;
pub mod control;
pub mod keeper;
pub mod notice;
pub mod record;
pub mod spec;

/// Version of everything in this crate, the record format of the task log included. A worker refuses a spec of
/// another version, and speaks its own to its end: a supervisor of another build that adopts it must know that one.
pub const LINK_VERSION: u32 = 1;
