//! The open database, which [`crate::read`] and [`crate::batch`] ask and the crate's root changes.

use std::path::PathBuf;

use rusqlite::Connection;

/// The open database: one connection to one file.
#[derive(Debug)]
pub struct StateDb {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
}
