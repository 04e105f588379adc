//! What a supervisor and a worker say to each other, written once and used by both.
//!
//! In the order in which they are used in a task's life:
//! - [`keeper`]: how a supervisor has a worker forked, and asks what became of one that died.
//! - [`spec`]: everything that a worker must know to run one task.
//! - [`isolation`]: the part of it that is about the rest of the machine.
//! - [`key`]: what a supervisor shows to processes that an earlier one started.
//! - [`control`]: what a supervisor says, lines of JSON on the worker's standard input; the first one brings the spec.
//! - [`record`]: what a worker says, the bytes of its standard output and of the task log: output, and
//!   [events](cc_events::Event).
//! - [`notice`]: what a worker says beside the log.
//! - [`adopt`]: how a later supervisor takes over a worker on the worker's socket; from then on control lines and records
//!   travel there.
//! - [`exit`]: how a worker or a keeper exits.
//!
//! This crate does no I/O: it turns values into bytes and bytes into values.

pub mod keeper;

pub mod spec;

pub mod isolation;

pub mod key;

pub mod control;

pub mod record;

pub mod notice;

pub mod adopt;

pub mod exit;

/// Version of everything in this crate, the record format of the task log included. A worker refuses a spec of another
/// version. It speaks its own version to its end, so a supervisor of another build can adopt it only if it knows that one.
pub const LINK_VERSION: u32 = 1;
