//! A task's records for all that follow it: the end of the log in memory, the rest in the file.
//!
//! A [`Feed`] is written by its task's owner alone. Any number of [`Cursor`]s read it, each at its own pace: one near the
//! end is served from the ring, one that is behind reads the file, and so does one over the log of a task that has ended.
//! So a slow reader costs an offset, not memory, and the writer never waits for a reader. Offsets are those of the task
//! log file, because both hold the same bytes.
//!
//! - [`cursor`]: one reader's place
//! - [`ring`]: the records in memory, and how far they reach

mod cursor;
mod ring;

pub(crate) use self::{
    cursor::{Cursor, Item},
    ring::{Feed, Position},
};

#[cfg(test)]
mod tests;
