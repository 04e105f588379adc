//! The wall clock, which records and the database use, and the time since boot, which cannot be set.
//!
//! Owns no state. For timeouts there is [`crate::ops::uptime`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the Unix epoch.
#[must_use]
pub(crate) fn now_ms() -> u64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// As the wire, records and the log have durations.
#[must_use]
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the machine was booted, including those in which it was suspended (CLOCK_BOOTTIME).
#[must_use]
pub(crate) fn boot_ms() -> u64 {
    let since_start = clock_gettime(ClockId::Boottime);
    let since_ms = since_start.tv_sec.saturating_mul(1_000) + since_start.tv_nsec / 1_000_000;
    u64::try_from(since_ms).unwrap_or(0)
}
