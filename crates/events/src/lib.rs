//! What can happen to a task.
//!
//! A worker's records, the task log, the wire of the clients and the database share these types, so that a task's end is
//! the same value in all of them. This crate does no I/O, and does not know how its values are carried.
//!
//! Modules: `event`, `isolation`, `completed`, `warning`, `claude`, `output`; in the same order:
//! - [`Event`] is everything that a worker records of a task beside its output.
//! - [`Isolation`] says what a task is kept from, and its limits.
//! - [`Completed`] is the last of them: [`EndReason`] says what ended the task, [`Verdict`] what the end means.
//! - [`Warning`] is what a person should know of that end, whatever the verdict.
//! - [`ClaudeResult`] and its neighbours are what the Claude CLI's own stream says.
//! - [`OutputCounts`] and [`Dropped`] say how much was printed, and how much of it is missing.

mod event;
mod isolation;

mod completed;
mod warning;

mod claude;
mod output;

#[cfg(test)]
mod words;

pub use claude::{
    ClaudeFacts, ClaudeResult, ClaudeResultPart, ClaudeRetry, ClaudeStream, LimitReport,
};
pub use completed::{Completed, EndReason, SpawnFailureKind, Verdict};
pub use event::{Containment, Event, Started};
pub use isolation::{Isolation, LimitInForce, LimitedUnit, LimitsInForce};
pub use output::{Dropped, OutputCounts, TRUNCATION_MARK};
pub use warning::{Warning, WarningKind};
