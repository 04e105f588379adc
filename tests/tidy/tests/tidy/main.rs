//! The shape of this repository: what a reader may rely on without looking. `.ci/check` runs it.
//!
//! Each rule is a test. Where the code breaks a rule for a good reason, the exception stands beside the rule, with the
//! reason. Two rules more are lints: a function has at most 70 lines (`clippy.toml`), and `unsafe` is denied outside
//! `crates/proctree` (`Cargo.toml`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test: a broken assumption ends it where it is noticed"
)]

/// The files of the repository, read and parsed.
mod sources;

/// Which file of a crate uses which other one.
mod imports;

/// Rooms of the supervisor import only downward; no files of a crate import each other in a circle.
mod direction;

/// A file has at most 400 lines.
mod length;

/// Signals are sent by pidfd, from one place.
mod signals;

/// A wire code is chosen in one place; an error is a type and no text.
mod errors;

/// What the documents say of the code is there: paths, flags, the map of modules.
mod documents;

/// One spelling.
mod spelling;

/// The alert rules and the dashboard name metrics that exist.
mod metrics;
