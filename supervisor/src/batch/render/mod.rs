//! Batches and their tasks in the words of the wire. Pure but for the gates, which are asked who is closed.

mod row;
mod summary;
mod words;

pub use self::{
    row::row,
    summary::{outcome, summary},
    words::{called, why_ended},
};
