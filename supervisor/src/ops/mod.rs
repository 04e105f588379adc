//! For operators: the structured log, metrics, health, what systemd is told, and the clocks.
//!
//! Nothing here starts, changes or ends a task.

pub(crate) mod cli_news;
pub(crate) mod clock;
pub(crate) mod health;
pub(crate) mod logging;
pub(crate) mod metrics;
pub(crate) mod open_files;
pub(crate) mod stage;
pub(crate) mod systemd;
pub(crate) mod trusted_time;
pub(crate) mod uptime;
