//! For operators: the log, metrics, health, what the service manager is told, and the clocks that all rooms use.
//!
//! Owns what one process has once: its log, its limit of open files, its stage. It never starts, changes or ends a task.

/// What the log says once about a CLI that is newer than this version.
pub(crate) mod cli_news;
/// The wall clock and the time since boot.
pub(crate) mod clock;
/// What changes among the conditions, for those who want to be told.
pub(crate) mod alerts;
/// `/healthz`: what does not work, and what to do about it.
pub(crate) mod health;
/// Who asked for what, and whether it was done.
pub(crate) mod audit;
/// Who an admitted client is.
pub(crate) mod identity;
/// Whether new tasks are held up until an operator says otherwise.
pub(crate) mod drain;
/// What of the log is written, which a reload can change.
pub(crate) mod log_filter;
/// The log on standard error.
pub(crate) mod logging;
/// Memory that is given back to the machine.
pub(crate) mod memory;
/// `/metrics`.
pub(crate) mod metrics;
/// The limit of open files.
pub(crate) mod open_files;
/// Panics: counted, logged, and shown by health.
pub(crate) mod panics;
/// Log lines that a peer can provoke: one with a count instead of many.
pub(crate) mod repeated;
/// The stage of the supervisor's life: serving, stopping, leaving.
pub(crate) mod stage;
/// Socket activation and readiness.
pub(crate) mod systemd;
/// What is said where no thread can be made.
pub(crate) mod threads;
/// The wall clock as far as it is believed when old logs are removed.
pub(crate) mod trusted_time;
/// Whether the event loop turns, what the surroundings allow, how recent tasks ended.
pub(crate) mod vitals;
/// The clock of timeouts, which stands still while this process cannot run.
pub(crate) mod uptime;
