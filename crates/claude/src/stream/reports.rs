//! The events that a stream causes: how many, and that none only repeats the one before.

use cc_events::{Event, LimitReport};

/// Most events that one task's stream can cause. A stream that says more is broken or hostile; the
/// lines themselves are in the output as ever.
pub(super) const EVENTS_LIMIT: u32 = 1_000;

#[derive(Debug)]
pub(super) struct Reports {
    events_left: u32,
    rate_limit: Option<LimitReport>,
    token_limit: Option<LimitReport>,
}

impl Default for Reports {
    fn default() -> Self {
        Self { events_left: EVENTS_LIMIT, rate_limit: None, token_limit: None }
    }
}

impl Reports {
    /// Reports a rate limit, unless that would only repeat the report before. What was known of the same limit
    /// (its end, its kind) is known of it still.
    pub(super) fn rate_limited(&mut self, mut report: LimitReport, emit: &mut dyn FnMut(Event)) {
        if let Some(known) = &self.rate_limit {
            report.resets_at_s = report.resets_at_s.or(known.resets_at_s);
            report.kind = report.kind.or_else(|| known.kind.clone());
            report.blocked_by = report.blocked_by.or_else(|| known.blocked_by.clone());
        }
        if self.rate_limit.as_ref() != Some(&report) {
            self.rate_limit = Some(report.clone());
            self.emit(Event::RateLimited(report), emit);
        }
    }

    /// Reports a token limit, unless that would only repeat the report before.
    pub(super) fn token_limited(&mut self, message: Option<String>, emit: &mut dyn FnMut(Event)) {
        let message = message.unwrap_or_else(|| "token limit".to_owned());
        let report = LimitReport { message, ..LimitReport::default() };
        if self.token_limit.as_ref() != Some(&report) {
            self.token_limit = Some(report.clone());
            self.emit(Event::TokenLimited(report), emit);
        }
    }

    pub(super) fn emit(&mut self, event: Event, emit: &mut dyn FnMut(Event)) {
        if self.events_left > 0 {
            self.events_left -= 1;
            emit(event);
        }
    }

    /// The limit that was reported is not the reason of what comes.
    pub(super) fn rate_limit_passed(&mut self) {
        self.rate_limit = None;
    }
}
