//! How the tasks of the last hour and the last day ended. Bounded: a count for each verdict and span of time.
//!
//! It begins anew with each supervisor; [`RecentEnds::since_ms`] says when that was.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use cc_events::Verdict;

use crate::ops::clock::{boot_ms, now_ms};

const VERDICTS: usize = Verdict::ALL.len();
const MINUTE_MS: u64 = 60_000;

/// Counts by the word for the verdict; those that did not occur are missing.
pub(crate) type ByVerdict = BTreeMap<&'static str, u64>;

#[derive(Debug)]
pub(crate) struct RecentEnds {
    /// Milliseconds since the Unix epoch.
    pub(crate) since_ms: u64,
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    hour: Window<12>,
    day: Window<24>,
}

impl RecentEnds {
    #[must_use]
    pub(crate) fn new() -> Self {
        let windows =
            Windows { hour: Window::new(5 * MINUTE_MS), day: Window::new(60 * MINUTE_MS) };
        Self { since_ms: now_ms(), windows: Mutex::new(windows) }
    }

    pub(crate) fn note(&self, verdict: Verdict) {
        let at_ms = boot_ms();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.hour.note(verdict, at_ms);
        windows.day.note(verdict, at_ms);
    }

    /// The ends of the last hour, and of the last day.
    #[must_use]
    pub(crate) fn counts(&self) -> (ByVerdict, ByVerdict) {
        let at_ms = boot_ms();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        (windows.hour.counts(at_ms), windows.day.counts(at_ms))
    }
}

/// `N` spans of time, the latest of which is not over.
#[derive(Debug)]
struct Window<const N: usize> {
    span_ms: u64,
    spans: [Span; N],
}

#[derive(Clone, Copy, Debug)]
struct Span {
    /// How many spans there were before it since the machine was booted.
    number: u64,
    counts: [u32; VERDICTS],
}

impl<const N: usize> Window<N> {
    fn new(span_ms: u64) -> Self {
        Self { span_ms, spans: [Span { number: 0, counts: [0; VERDICTS] }; N] }
    }

    fn note(&mut self, verdict: Verdict, at_ms: u64) {
        let number = at_ms / self.span_ms;
        let index = usize::try_from(number % N as u64).unwrap_or(0);
        let Some(span) = self.spans.get_mut(index) else { return };
        if span.number != number {
            *span = Span { number, counts: [0; VERDICTS] };
        }
        for (count, of) in span.counts.iter_mut().zip(Verdict::ALL) {
            *count = count.saturating_add(u32::from(of == verdict));
        }
    }

    fn counts(&self, at_ms: u64) -> ByVerdict {
        let last = at_ms / self.span_ms;
        let mut sums = ByVerdict::new();
        for span in self.spans.iter().filter(|span| last.saturating_sub(span.number) < N as u64) {
            for (count, verdict) in
                span.counts.iter().zip(Verdict::ALL).filter(|(count, _)| **count > 0)
            {
                *sums.entry(verdict.as_str()).or_default() += u64::from(*count);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_for_as_long_as_the_window_is() {
        let mut hour = Window::<12>::new(5 * MINUTE_MS);
        let begin = 1_000 * MINUTE_MS;
        hour.note(Verdict::Succeeded, begin);
        hour.note(Verdict::Succeeded, begin + MINUTE_MS);
        hour.note(Verdict::TimedOut, begin + 30 * MINUTE_MS);
        let at = |minutes: u64| hour.counts(begin + minutes * MINUTE_MS);
        let both = ByVerdict::from([("succeeded", 2), ("timed_out", 1)]);
        assert_eq!(at(30), both);
        assert_eq!(at(59), both);
        assert_eq!(at(60), ByVerdict::from([("timed_out", 1)]));
        assert!(at(90).is_empty());
    }

    #[test]
    fn a_span_is_used_again_when_its_time_is_over() {
        let mut hour = Window::<12>::new(5 * MINUTE_MS);
        for minute in 0..600 {
            hour.note(Verdict::Failed, minute * MINUTE_MS);
        }
        assert_eq!(hour.counts(599 * MINUTE_MS), ByVerdict::from([("failed", 60)]));
    }
}
