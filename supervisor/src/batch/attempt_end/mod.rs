//! How an attempt ended, from its log: what the state machine, the record and later tasks need to know of it.
//!
//! Reads records, live or from the file of a task that is over; nothing else. The log is the truth.

mod classify;
mod collector;
mod end;
#[cfg(test)]
pub(super) mod tests;
mod words;

pub use self::{collector::Collector, end::End};
