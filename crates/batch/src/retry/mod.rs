//! Whether an attempt is made again, and when.
//!
//! By class and never blindly: a transient failure soon and with jitter, so that not all attempts
//! come at once; a limit when it ends; everything else never. Pure functions, called by the
//! supervisor ([`AttemptEnd::of`]) and by [`crate::life`].

mod evidence;

mod class;
mod classify;
mod end;

mod delay;

pub use self::{
    class::{Class, Never, Transient},
    classify::classify,
    delay::{backoff_until_ms, limit_until_ms, unavailable_until_ms},
    end::AttemptEnd,
    evidence::{DeadEnd, Evidence, ToolUse, UsageLimit, Want},
};

#[cfg(test)]
mod tests;
