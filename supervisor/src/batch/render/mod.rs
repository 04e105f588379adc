//! Batches and their tasks as the types of the wire.
//!
//! It only reads, and only its arguments: nothing here asks the database or a clock.

mod row;
mod summary;
mod words;

pub(super) use self::{
    row::row,
    summary::{outcome, summary},
    words::{display_name, why_ended},
};
