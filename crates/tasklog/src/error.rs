//! Why a task log cannot be read or recovered.

use std::{io, path::PathBuf};

use cc_link::record::RecordError;

/// Why a task log cannot be read or recovered. A torn tail is no error: it is where the log ends.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened, read or cut.
    #[error("task log {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The file does not begin as a task log does. It is left as it is.
    #[error(
        "{path} is no task log of a version known here (it does not begin with CCXLOG1): read it with the \
         program that wrote it, or move its directory away"
    )]
    NotALog { path: PathBuf },
    /// There is no record at this offset, although the file continues after it.
    #[error("task log {path} is damaged at offset {offset}, recover it to cut it there: {source}")]
    Damaged {
        path: PathBuf,
        /// Where the record should be.
        offset: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A whole record has the wrong number.
    #[error(
        "task log {path} has seq {found} instead of {expected} at offset {offset}, \
         recover it to cut it there"
    )]
    SeqGap {
        path: PathBuf,
        offset: u64,
        /// One more than that of the record before it.
        expected: u64,
        found: u64,
    },
}
