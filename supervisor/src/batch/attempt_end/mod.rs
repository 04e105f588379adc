//! How an attempt or a hook ended, judged from its log.
//!
//! `collector` reads the records, `classify` judges them, `words` finds the texts for people, `end` is the outcome:
//! what the state machine, the task's row and later tasks use.
//!
//! The log is the truth: nothing else is read, and nothing is written.

mod classify;
mod collector;
mod end;
#[cfg(test)]
pub(super) mod tests;
mod words;

pub(super) use self::{collector::Collector, end::JobEnd};
