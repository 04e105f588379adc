//! The schema, as the steps that led to it, and how an older database is brought up to date.
//!
//! A database's version is the number of steps that it has gone: step N, in `schema/N.sql`, brings it from
//! version N - 1 to N. A step that was once released is never changed; a change is a new step.

use rusqlite::{Connection, TransactionBehavior, ffi};

use crate::convert::Unsigned;

#[cfg(test)]
mod tests;

/// The steps, first to last.
pub(crate) const STEPS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The version that this program reads and writes.
pub const SCHEMA_VERSION: u32 = STEPS.len() as u32;

/// "CCXS": the application id in the file's header, by which `file` and we know it.
pub const APPLICATION_ID: i32 = 0x4343_5853;

/// The names, in SQLite, of the two numbers in the file's header.
pub(crate) const APPLICATION_ID_PRAGMA: &str = "application_id";
pub(crate) const VERSION_PRAGMA: &str = "user_version";

/// Goes the steps from version `from` to the last of `steps`, all of them or none.
pub(crate) fn migrate(
    connection: &mut Connection,
    steps: &[&str],
    from: u32,
) -> rusqlite::Result<()> {
    // A step that rebuilds a table must be able to drop the old one; what refers to nothing
    // at the end is found below. SQLite ignores this pragma inside a transaction.
    connection.pragma_update(None, "foreign_keys", false)?;
    let migrated = go(connection, steps, from);
    connection.pragma_update(None, "foreign_keys", true)?;
    migrated
}

fn go(connection: &mut Connection, steps: &[&str], from: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps.iter().skip(from as usize) {
        transaction.execute_batch(step)?;
    }
    if transaction.prepare("PRAGMA foreign_key_check")?.exists(())? {
        return Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_CONSTRAINT_FOREIGNKEY),
            Some("a row would refer to one that is not there".to_owned()),
        ));
    }
    transaction.pragma_update(None, APPLICATION_ID_PRAGMA, APPLICATION_ID)?;
    transaction.pragma_update(None, VERSION_PRAGMA, Unsigned(steps.len() as u64))?;
    transaction.commit()
}
