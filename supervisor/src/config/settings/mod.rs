//! The settings of the supervisor.

pub(crate) mod kinds;
