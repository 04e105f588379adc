//! A task's records for everyone who follows it: the end of the log in memory, the rest in the file.

mod cursor;
mod ring;

pub(crate) use self::{
    cursor::{Cursor, Item},
    ring::{Feed, Position},
};

#[cfg(test)]
mod tests;
