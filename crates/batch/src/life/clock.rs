//! What becomes of a batch's waits when the wall clock goes otherwise than time in which something could run: it was
//! set, or the machine slept, or was stopped.
//!
//! A wait of a length is one of time in which something could run, and so is `max_time_s`: both move along with the
//! clock. A limit that ends at a time ends at that time, whatever the clock showed before.

use super::{
    state::{Cause, TaskOutcome, TaskState},
    step::Stepping,
};
use crate::{
    limits::{WAIT_JITTER_MS, WAIT_SHORTEST_MS},
    retry::Class,
};

impl Stepping<'_> {
    /// The wall clock has gone by so much more than what could run.
    pub(super) fn clock_moved(&mut self, by_ms: i64) {
        self.batch.head.skipped_ms = self.batch.head.skipped_ms.saturating_add(by_ms);
        for task in 0..self.batch.tasks.len() {
            let TaskState::RetryAt { at_ms, last, .. } = &mut self.batch.tasks[task] else {
                continue;
            };
            if !is_for_a_time(*at_ms, last) {
                *at_ms = at_ms.saturating_add_signed(by_ms);
                self.changed.push(task);
            }
        }
        // The timer was set for a time on the clock before it moved.
        self.wake_before = None;
    }
}

/// Whether a wait is for the end of a limit that was named.
fn is_for_a_time(at_ms: u64, last: &TaskOutcome) -> bool {
    let Cause::Attempt { end: Class::Limit { ends_at_ms: Some(ends_at_ms) } } = last.cause else {
        return false;
    };
    let latest_ms = ends_at_ms.saturating_add(WAIT_SHORTEST_MS + WAIT_JITTER_MS);
    (ends_at_ms..=latest_ms).contains(&at_ms)
}
