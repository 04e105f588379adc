//! Values that SQLite has no type for.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::Serialize;

/// A count, a size or a time. SQLite's integers end at 2^63 - 1, and so do these: a number that no honest
/// task has must not fail the transaction that other tasks' changes are in.
#[derive(Clone, Copy)]
pub(crate) struct Unsigned(pub(crate) u64);

impl ToSql for Unsigned {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Unsigned {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(u64::try_from(value.as_i64()?).unwrap_or(0)))
    }
}

/// A path to write: its bytes, which need not be UTF-8.
pub(crate) struct PathBytes<'a>(pub(crate) &'a Path);

impl ToSql for PathBytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_os_str().as_bytes().into())
    }
}

/// A path that was read.
pub(crate) struct ReadPath(pub(crate) PathBuf);

impl FromSql for ReadPath {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(OsString::from_vec(value.as_bytes()?.to_vec()).into()))
    }
}

/// A value for a column that holds JSON.
pub(crate) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
