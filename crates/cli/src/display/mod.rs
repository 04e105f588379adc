//! What people see: lines, tables, progress and summaries, as text. Only `terminal` and `progress` write anything.
//!
//! From the smallest part to the whole: `text` writes numbers and lines, `grid` columns; `command_cell` and `task` name a
//! task, `row` and `batch_row` say what became of it, `totals` add it up; `table`, `summary` and `dry_run` are what a
//! command prints at its end, `progress` is what it shows meanwhile, and `agent_line` what an agent says.

pub(crate) mod grid;
pub(crate) mod terminal;
pub(crate) mod text;

pub(crate) mod batch_row;
pub(crate) mod command_cell;
pub(crate) mod row;
pub(crate) mod task;
pub(crate) mod totals;

pub(crate) mod dry_run;
pub(crate) mod summary;
pub(crate) mod table;

pub(crate) mod advice;
pub(crate) mod agent_line;
pub(crate) mod progress;
