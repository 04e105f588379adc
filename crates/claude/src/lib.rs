//! Everything that this product knows about the Claude Code CLI.
//!
//! Modules stand in the order of a task's life: [`invocation`] makes the command line of a prompt,
//! [`stream`] reads what the CLI prints, [`verdict`] says what the end of the task means, [`dead_end`] what a person
//! must see to, and `limit` (a feature, because it knows time zones) when a limit ends that was met. [`version`] says
//! which versions of the CLI are tested.
//!
//! Below [`stream`], in the order in which a line passes through them: `scan` finds the wanted members of a line while its
//! bytes come in, `line` gives them by name, `json` reads values that no library would, `known` and `unknown` count what
//! is new; `activity` follows what runs, `result` reads a result line, `answer` chooses among several, `refusal` says why the
//! API refuses and `own_words` whether a text is the CLI's own, `notes` collects what a person should know; `bounds` says
//! how much of each text is kept.
//!
//! Architecture invariants: no I/O, no clock, no runtime (the worker links this crate); a line of the
//! task is looked at and never changed; what is unknown is ignored; ordinary text is never
//! interpreted, whatever words it contains.

pub mod dead_end;
pub mod invocation;
#[cfg(feature = "limit")]
pub mod limit;
pub mod stream;
pub mod verdict;
pub mod version;

mod activity;
mod answer;
mod bounds;
mod json;
mod known;
mod line;
mod notes;
mod own_words;
mod refusal;
mod result;
mod scan;
mod unknown;

pub use bounds::{
    RESULT_BYTES_LIMIT, RESULT_JSON_BYTES_LIMIT, TEXT_BYTES_LIMIT, USAGE_BYTES_LIMIT, cut_answer,
};
pub use dead_end::DeadEnd;
pub use refusal::Refusal;
pub use stream::{StreamObserver, Summary, Work};
