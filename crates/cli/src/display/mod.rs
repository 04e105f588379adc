//! What people see: lines, tables, progress and summaries, as text.

pub(crate) mod advice;
pub(crate) mod dry_run;
pub(crate) mod grid;
pub(crate) mod progress;
pub(crate) mod row;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod text;
