//! When an attempt is made again.

use crate::{
    jitter,
    limits::{
        BACKOFF_FIRST_MS, BACKOFF_LONGEST_MS, UNAVAILABLE_WAIT_LONGEST_MS, WAIT_JITTER_MS,
        WAIT_LONGEST_MS, WAIT_SHORTEST_MS, WAIT_UNKNOWN_FIRST_MS, WAIT_UNKNOWN_LONGEST_MS,
    },
};

/// When the attempt after `attempt` (from 1) begins, ms since the epoch: somewhere in a window that
/// doubles with each attempt ("full jitter"), at least a second from now.
#[must_use]
pub fn backoff_until_ms(now_ms: u64, attempt: u32, seed: u64, task: usize) -> u64 {
    let window = doubled(BACKOFF_FIRST_MS, attempt.saturating_sub(1), BACKOFF_LONGEST_MS);
    let jitter = jitter::up_to(window, seed, &[1, task as u64, u64::from(attempt)]);
    now_ms.saturating_add(jitter.max(WAIT_SHORTEST_MS))
}

/// When a limit is tried again that was met after `waits` waits before, ms since the epoch.
///
/// At its end where that is known: at least a second and at most eight days from now. Where it is not
/// known, or lies in the past although we waited already, after 5 minutes, doubling to an hour.
#[must_use]
pub fn limit_until_ms(
    now_ms: u64,
    ends_at_ms: Option<u64>,
    waits: u32,
    seed: u64,
    task: usize,
) -> u64 {
    let wait_ms = match ends_at_ms {
        Some(end_ms) if end_ms > now_ms || waits == 0 => end_ms.saturating_sub(now_ms),
        Some(_) | None => doubled(WAIT_UNKNOWN_FIRST_MS, waits, WAIT_UNKNOWN_LONGEST_MS),
    };
    let jitter = jitter::up_to(WAIT_JITTER_MS, seed, &[2, task as u64, u64::from(waits)]);
    let wait_ms = wait_ms.clamp(WAIT_SHORTEST_MS, WAIT_LONGEST_MS);
    now_ms.saturating_add(wait_ms).saturating_add(jitter)
}

/// When a start is tried again that failed because a resource was missing, since `since_ms`, ms since the epoch: after a
/// second, then after as long as the wait has lasted, and at least once a minute.
#[must_use]
pub fn unavailable_until_ms(now_ms: u64, since_ms: u64, seed: u64, task: usize) -> u64 {
    let waited_ms = now_ms.saturating_sub(since_ms);
    let wait_ms = waited_ms.clamp(WAIT_SHORTEST_MS, UNAVAILABLE_WAIT_LONGEST_MS);
    // Not all at once: that they were so many may have been the trouble.
    let jitter = jitter::up_to(wait_ms / 2, seed, &[4, task as u64, now_ms]);
    now_ms.saturating_add(wait_ms).saturating_add(jitter)
}

fn doubled(first: u64, times: u32, longest: u64) -> u64 {
    let factor = 1_u64.checked_shl(times).unwrap_or(u64::MAX);
    first.saturating_mul(factor).min(longest)
}
