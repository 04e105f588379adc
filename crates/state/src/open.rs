//! Opening the file: it must be ours, whole, and of a version that this program knows, before anything
//! is written to it. A damaged file is never replaced: that is for a person to decide.

use std::{
    fmt,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    StateError, error,
    schema::{
        APPLICATION_ID, APPLICATION_ID_PRAGMA, SCHEMA_VERSION, STEPS, VERSION_PRAGMA, migrate,
    },
};

#[cfg(test)]
mod tests;

/// How long to wait for another program that has locked the database: `sqlite3`, or a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements that are kept: all that this crate has.
const STATEMENTS: usize = 64;
/// Pages of the file that are kept in memory. The kernel has the others: reading one again costs microseconds.
const PAGE_CACHE_KIB: i64 = 512;
/// The size to which SQLite truncates a larger write-ahead log when it starts writing it from the beginning again.
const WRITE_AHEAD_LOG_BYTES: i64 = 16 * 1024 * 1024;

/// What the database was before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none: it is new.
    Created,
    /// Of an older schema version.
    Migrated {
        /// The schema version that it had.
        from: u32,
        to: u32,
    },
    /// Of this schema version.
    AsItWas,
}

/// Reads on after the name of the database.
impl fmt::Display for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => formatter.write_str("is new"),
            Self::Migrated { from, to } => {
                write!(formatter, "was migrated from schema version {from} to {to}")
            }
            Self::AsItWas => formatter.write_str("is open"),
        }
    }
}

pub(crate) fn open(path: &Path) -> Result<(Connection, Opened), StateError> {
    create_if_missing(path)
        .map_err(|source| StateError::Create { path: path.to_owned(), source })?;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        check_kind(path, suffix)?;
    }
    let mut connection = connect(path).map_err(error::at(path))?;
    let from = recognise(&connection, path)?;
    check(&connection, path)?;
    configure(&connection, path)?;
    if from == SCHEMA_VERSION {
        return Ok((connection, Opened::AsItWas));
    }
    migrate(&mut connection, STEPS, from).map_err(|source| migration_error(path, from, source))?;
    let opened = match from {
        0 => Opened::Created,
        from => Opened::Migrated { from, to: SCHEMA_VERSION },
    };
    Ok((connection, opened))
}

/// SQLite would make it readable by all users. Its other files take their mode from this one.
fn create_if_missing(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// SQLite follows links, also for the files that it keeps beside the database.
fn check_kind(path: &Path, suffix: &str) -> Result<(), StateError> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    let path = PathBuf::from(name);
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(StateError::NotAFile { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StateError::Create { path, source }),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI: a directory called "file:" is a directory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// The schema version of a database that is ours; 0 for an empty one.
fn recognise(connection: &Connection, path: &Path) -> Result<u32, StateError> {
    let (application_id, version, is_empty) = identity(connection).map_err(error::at(path))?;
    // A supervisor that was killed while it created the file has left an empty one: that is ours too.
    if is_empty && application_id == 0 && version == 0 {
        return Ok(0);
    }
    match u32::try_from(version) {
        _ if application_id != APPLICATION_ID => Err(StateError::Foreign { path: path.to_owned() }),
        Ok(found) if found > SCHEMA_VERSION => {
            Err(StateError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION })
        }
        Ok(found @ 1..) => Ok(found),
        Ok(0) | Err(_) => Err(StateError::Damaged {
            path: path.to_owned(),
            detail: format!("there is no schema version {version}"),
        }),
    }
}

fn identity(connection: &Connection) -> rusqlite::Result<(i32, i32, bool)> {
    let application_id = connection.pragma_query_value(None, APPLICATION_ID_PRAGMA, get_first)?;
    let version = connection.pragma_query_value(None, VERSION_PRAGMA, get_first)?;
    let is_empty = !connection.prepare("SELECT 1 FROM sqlite_schema")?.exists(())?;
    Ok((application_id, version, is_empty))
}

/// Reads all of it: damage is better found now than by the task that happens upon it.
fn check(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", (), get_first).map_err(error::at(path))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(StateError::Damaged { path: path.to_owned(), detail: found }),
    }
}

fn configure(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let mode = set_pragmas(connection).map_err(error::at(path))?;
    match mode.as_str() {
        "wal" => Ok(()),
        _ => Err(StateError::NoWriteAheadLog { path: path.to_owned(), mode }),
    }
}

/// Returns the journal mode that the database has now.
fn set_pragmas(connection: &Connection) -> rusqlite::Result<String> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", get_first)?;
    // A commit reaches the kernel, not the disk: it outlives this process and, but for the last
    // ones, the machine.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Negative: it is not a number of pages.
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
    connection.pragma_update_and_check(
        None,
        "journal_size_limit",
        WRITE_AHEAD_LOG_BYTES,
        |_| Ok(()),
    )?;
    Ok(mode)
}

fn get_first<T: rusqlite::types::FromSql>(row: &rusqlite::Row<'_>) -> rusqlite::Result<T> {
    row.get(0)
}

fn migration_error(path: &Path, from: u32, source: rusqlite::Error) -> StateError {
    match error::at(path)(source) {
        StateError::Sqlite { path, source } => {
            StateError::Migration { path, from, to: SCHEMA_VERSION, detail: source.to_string() }
        }
        // A full disk, a lock and damage have their own advice.
        error @ (StateError::Create { .. }
        | StateError::NotAFile { .. }
        | StateError::Foreign { .. }
        | StateError::Newer { .. }
        | StateError::Damaged { .. }
        | StateError::NoWriteAheadLog { .. }
        | StateError::Migration { .. }
        | StateError::DiskFull { .. }
        | StateError::Busy { .. }) => error,
    }
}
