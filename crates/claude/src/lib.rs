//! Everything that this product knows about the Claude Code CLI.
//!
//! Modules in the order of a task's life:
//! - [`invocation`] makes the command line of a prompt; [`version`] says which versions of the CLI are tested.
//! - `scan` finds the members of a line that are wanted, and `line` gives them by name, within the limits of `bounds`;
//!   `json` reads their values. `known` lists the names that may occur, and `unknown` counts those that are new.
//! - [`stream`] reads what the CLI prints, a line at a time. `result` reads a result line, `refusal` the API's refusals,
//!   `activity` follows tools and work in the background, `answer` makes one result of several, and `notes` collects
//!   facts and warnings.
//! - [`verdict`] says what the end of the task means.
//! - [`dead_end`] recognizes what only a person can put right, and `limit` (a feature, because it needs time zones) when
//!   a usage limit ends. `own_words` tells the CLI's own texts from the model's.
//!
//! Architecture invariants: no I/O, no clock, no runtime (the worker links this crate); a line of the task is read and
//! never changed; an unknown name is ignored; ordinary text is never interpreted, whatever words it contains.

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

pub mod invocation;
pub mod version;

mod bounds;
mod json;
mod known;
mod line;
mod scan;
mod unknown;

mod activity;
mod answer;
mod notes;
mod refusal;
mod result;
pub mod stream;

pub mod verdict;

pub mod dead_end;
#[cfg(feature = "limit")]
pub mod limit;
mod own_words;

pub use bounds::{
    RESULT_BYTES_LIMIT, RESULT_JSON_BYTES_LIMIT, TEXT_BYTES_LIMIT, USAGE_BYTES_LIMIT, cut_answer,
};
pub use dead_end::DeadEnd;
pub use refusal::Refusal;
pub use stream::{StreamObserver, Summary, Work};
