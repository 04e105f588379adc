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

/// Version of everything in this crate that this build speaks best: 2 packs lines ([`lines`]), 1 does not. A worker
/// refuses a spec of a version that it does not know, and speaks that of its spec to its end, also to a supervisor
/// that adopts it: its log is written in that version.
pub const LINK_VERSION: u32 = 2;
/// The oldest version that this build still speaks, and whose logs it reads.
pub const OLDEST_LINK_VERSION: u32 = 1;
