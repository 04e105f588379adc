//! `state.db`: what a supervisor must know again after its own end, beside what the task logs hold.
//!
//! In the order in which a change travels from the supervisor's one writer thread:
//! - `db` is the open database.
//! - `open` [opens](StateDb::open) the file, which must be ours, whole, and of a known version.
//! - [`schema`] is what a new file gets, and how an older one is brought up to date.
//! - [`change`] is what can be written; as many [`Change`]s as have come together are one transaction.
//! - `apply` writes a change.
//! - [`batch`] is what is stored of batches.
//! - [`read`] answers `task.list`, `session.resume`, retention and the next supervisor's start.
//! - [`row`] is what is stored of sessions and tasks; [`word`] reads words that a newer program may have written.
//! - `convert` has the values that SQLite has no type for.
//! - [`error`] says why the file cannot be opened, read or changed.
//! - `fixture` is for tests.
//!
//! A task's log is the truth about the task; this database is an index of the logs that needs no directory scan, and the
//! only place that knows the sessions. A kill -9 at any moment loses no committed transaction and leaves none half done; a
//! power failure may lose the last ones, never their order.
//!
//! Everything here is synchronous, single-threaded, and waits for the disk: it is not for a thread that serves clients. It
//! knows no clock, reads no log and removes no file.

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

mod db;
mod open;
pub mod schema;

pub mod change;

mod apply;

pub mod batch;

pub mod read;

pub mod row;
pub mod word;

mod convert;

pub mod error;

#[cfg(test)]
mod fixture;

use std::path::Path;

pub use batch::{BatchFilter, BatchRow, BatchStep, BatchTaskRow, PlanHash};
pub use change::Change;
pub use db::StateDb;
pub use error::StateError;
pub use open::Opened;
pub use read::{DAY_MS, EndedTask, Filter, RetentionCandidates};
pub use row::{EndRow, ResultSummary, SessionRow, StartRow, TaskAccepted, TaskRow, TokenHash};
use rusqlite::{Connection, TransactionBehavior};
pub use word::Word;

impl StateDb {
    /// Opens the database at `path`; makes one, readable by its owner only, where there is none, and
    /// brings an older one to [`schema::SCHEMA_VERSION`]. Reads the whole file once to see whether
    /// it is sound.
    ///
    /// The caller must hold the lock of the state directory.
    ///
    /// # Errors
    /// [`StateError::Foreign`], [`StateError::Newer`] and [`StateError::Damaged`] leave the file as
    /// it is, and so does [`StateError::Migration`]; otherwise what the system says.
    pub fn open(path: &Path) -> Result<(Self, Opened), StateError> {
        let (connection, opened) = open::open(path)?;
        Ok((Self { path: path.to_owned(), connection }, opened))
    }

    /// From now on every transaction is on the disk when it returns, so that it survives a power failure as well
    /// (`synchronous = FULL`).
    ///
    /// # Errors
    /// [`StateError::Sqlite`], which is not to be expected.
    pub fn wait_for_disk(&self) -> Result<(), StateError> {
        let full = self.connection.pragma_update(None, "synchronous", "full");
        full.map_err(error::at(&self.path))
    }

    /// Makes all of `changes`, in order, or none of them. When it returns they survive a kill -9.
    ///
    /// What it costs is mostly the commit: changes that have come together belong in one call, of
    /// up to some thousand.
    ///
    /// # Errors
    /// [`StateError::DiskFull`], [`StateError::Busy`] after five seconds, [`StateError::Damaged`]; and
    /// [`StateError::Sqlite`] for what else the disk says, and for a task of a session that was
    /// never begun. Nothing has changed then. A caller that has put together changes of several origins
    /// makes them again one by one, so that the one at fault fails alone.
    pub fn transaction<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StateError> {
        apply_all(&mut self.connection, changes).map_err(error::at(&self.path))
    }

    /// Writes a page as it is and commits it. It proves that the next change can be committed, and changes nothing.
    ///
    /// # Errors
    /// As [`StateDb::transaction`].
    pub fn try_write(&mut self) -> Result<(), StateError> {
        let version = schema::SCHEMA_VERSION;
        let written = self.connection.pragma_update(None, schema::VERSION_PRAGMA, version);
        written.map_err(error::at(&self.path))
    }
}

fn apply_all<'a>(
    connection: &mut Connection,
    changes: impl IntoIterator<Item = &'a Change>,
) -> rusqlite::Result<()> {
    // Immediate: a transaction that turned from reading to writing could fail without waiting.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in changes {
        apply::apply(&transaction, change)?;
    }
    transaction.commit()
}
