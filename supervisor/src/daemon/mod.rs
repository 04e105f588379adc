//! The life of the program: start, recovery of earlier tasks, signals, shutdown.

pub(crate) mod reaper;
pub(crate) mod recovery;
pub(crate) mod runtime;
pub(crate) mod serve;
pub(crate) mod shutdown;
pub(crate) mod signals;

pub(crate) use self::serve::serve;
