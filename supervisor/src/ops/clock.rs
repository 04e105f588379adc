//! The wall clock, as records and the database have it, and the clock that nobody sets.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the machine was started, those in which it slept included.
#[must_use]
pub fn boot_ms() -> u64 {
    let since_start = clock_gettime(ClockId::Boottime);
    let milliseconds = since_start.tv_sec.saturating_mul(1_000) + since_start.tv_nsec / 1_000_000;
    u64::try_from(milliseconds).unwrap_or(0)
}
