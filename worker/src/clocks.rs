//! The four clocks of a task. Pure: time comes in as an argument. Paused time counts for none of them.
//!
//! ```text
//! total         from the start
//! first output  from the start, until there is any
//! silence       from the last byte of output (or the start, or the end of a wait that was announced), unless
//!               something runs that a Claude task has announced: a tool call, work in the background
//! linger        from a Claude task's last result line, unless work in the background runs or another turn has begun
//! ```

use std::time::{Duration, Instant};

use cc_claude::Work;
use cc_link::spec::Deadlines;

/// Longest wait before a retry that a task may announce, milliseconds: more than the CLI ever waits by itself.
const RETRY_DELAY_LONGEST_MS: u64 = 60 * 60_000;

/// The state of all clocks.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    deadlines: Deadlines,
    started: Instant,
    last_output: Option<Instant>,
    last_result: Option<Instant>,
    /// Until then the task has announced to be silent: it waits before it asks the API again.
    silent_until: Option<Instant>,
    work: Work,
    paused_at: Option<Instant>,
}

/// Which clock has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Total,
    FirstOutput,
    Silence,
    Linger,
}

impl Clocks {
    pub(crate) fn new(deadlines: Deadlines, now: Instant) -> Self {
        Self {
            deadlines,
            started: now,
            last_output: None,
            last_result: None,
            silent_until: None,
            work: Work::default(),
            paused_at: None,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Something was read.
    pub(crate) fn output(&mut self, now: Instant) {
        self.last_output = Some(now);
    }

    /// What a Claude task reports as running.
    pub(crate) fn work(&mut self, work: Work, now: Instant) {
        let is_background_over = self.work.is_background_in_flight && !work.is_background_in_flight;
        if work.results > self.work.results || (is_background_over && self.last_result.is_some()) {
            self.last_result = Some(now);
        }
        if work.retries > self.work.retries {
            self.silent_until =
                Some(now + Duration::from_millis(work.retry_delay_ms.min(RETRY_DELAY_LONGEST_MS)));
        }
        self.work = work;
    }

    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused_at.get_or_insert(now);
    }

    /// Resumes all clocks from where they stopped.
    pub(crate) fn resume(&mut self, now: Instant) {
        let Some(paused_at) = self.paused_at.take() else { return };
        let paused = now.saturating_duration_since(paused_at);
        self.started += paused;
        for moment in [&mut self.last_output, &mut self.last_result].into_iter().flatten() {
            // Output that was still in the pipe can have been read during the pause.
            *moment = (*moment + paused).min(now);
        }
        if let Some(silent_until) = &mut self.silent_until {
            *silent_until += paused;
        }
    }

    /// Takes back from all clocks the time, up to now, in which nothing could run.
    pub(crate) fn skip(&mut self, gap: Duration, now: Instant) {
        if !self.is_paused() {
            self.pause(now.checked_sub(gap).unwrap_or(now));
            self.resume(now);
        }
    }

    /// The clock that runs out next and when; `None` while none runs.
    pub(crate) fn next(&self) -> Option<(Instant, Due)> {
        if self.is_paused() {
            return None;
        }
        let after = |start: Instant, limit_ms: Option<u64>, due| {
            limit_ms.map(|limit_ms| (start + Duration::from_millis(limit_ms), due))
        };
        let first_output = match self.last_output {
            None => after(self.started, self.deadlines.first_output_ms, Due::FirstOutput),
            Some(_) => None,
        };
        let linger = match self.last_result {
            Some(result) if !self.work.is_background_in_flight && !self.work.is_in_turn => {
                after(result, Some(self.deadlines.linger_ms), Due::Linger)
            }
            Some(_) | None => None,
        };
        let silence_start = self.last_output.unwrap_or(self.started);
        let silence_start = self.silent_until.map_or(silence_start, |end| silence_start.max(end));
        let silence = match self.work.is_working {
            true => None,
            false => after(silence_start, self.deadlines.silence_ms, Due::Silence),
        };
        [after(self.started, self.deadlines.total_ms, Due::Total), first_output, silence, linger]
            .into_iter()
            .flatten()
            .min_by_key(|(moment, _)| *moment)
    }

    /// What is left of the total deadline, milliseconds; `None` where there is none.
    pub(crate) fn total_left_ms(&self, now: Instant) -> Option<u64> {
        let total_ms = self.deadlines.total_ms?;
        let ran = self.paused_at.unwrap_or(now).saturating_duration_since(self.started);
        Some(total_ms.saturating_sub(u64::try_from(ran.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The clock that has run out, if any.
    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        self.next().filter(|(moment, _)| *moment <= now).map(|(_, due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        total_ms: Some(10_000),
        silence_ms: Some(3_000),
        first_output_ms: Some(1_000),
        linger_ms: 500,
        grace_ms: 0,
    };

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_first_output_is_waited_for_less_long_than_later_silence() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        assert_eq!(clocks.due(at(start, 999)), None);
        assert_eq!(clocks.due(at(start, 1_000)), Some(Due::FirstOutput));
        clocks.output(at(start, 999));
        assert_eq!(clocks.next(), Some((at(start, 3_999), Due::Silence)));
    }

    #[test]
    fn the_total_counts_however_much_is_printed() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 9_999));
        assert_eq!(clocks.due(at(start, 10_000)), Some(Due::Total));
    }

    #[test]
    fn paused_time_counts_for_no_clock() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 500));
        clocks.pause(at(start, 1_000));
        clocks.pause(at(start, 2_000));
        assert_eq!(clocks.next(), None);
        assert_eq!(clocks.due(at(start, 1_000_000)), None);
        clocks.resume(at(start, 101_000));
        assert_eq!(clocks.next(), Some((at(start, 103_500), Due::Silence)));
        clocks.output(at(start, 109_000));
        assert_eq!(clocks.next(), Some((at(start, 110_000), Due::Total)));
    }

    #[test]
    fn a_gap_counts_for_no_clock_and_during_a_pause_not_twice() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 500));
        clocks.skip(Duration::from_millis(8_000), at(start, 9_000));
        assert_eq!(clocks.next(), Some((at(start, 11_500), Due::Silence)));
        assert_eq!(clocks.total_left_ms(at(start, 9_000)), Some(9_000));
        clocks.pause(at(start, 9_000));
        clocks.skip(Duration::from_millis(50_000), at(start, 60_000));
        clocks.resume(at(start, 60_000));
        assert_eq!(clocks.total_left_ms(at(start, 60_000)), Some(9_000));
    }

    #[test]
    fn what_is_left_of_the_total_stands_still_during_a_pause() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        assert_eq!(clocks.total_left_ms(at(start, 4_000)), Some(6_000));
        clocks.pause(at(start, 4_000));
        assert_eq!(clocks.total_left_ms(at(start, 50_000)), Some(6_000));
        clocks.resume(at(start, 50_000));
        assert_eq!(clocks.total_left_ms(at(start, 51_000)), Some(5_000));
        assert_eq!(clocks.total_left_ms(at(start, 90_000)), Some(0));
    }

    #[test]
    fn output_read_during_a_pause_is_not_moved_into_the_future() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.pause(at(start, 0));
        clocks.output(at(start, 90));
        clocks.resume(at(start, 100));
        assert_eq!(clocks.next(), Some((at(start, 3_100), Due::Silence)));
    }

    const RESULT: Work = Work {
        results: 1,
        is_in_turn: false,
        is_working: false,
        is_background_in_flight: false,
        retries: 0,
        retry_delay_ms: 0,
    };

    #[test]
    fn lingering_begins_with_the_last_result_and_not_before_background_tasks_are_done() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 100));
        clocks.work(RESULT, at(start, 100));
        clocks.output(at(start, 400));
        clocks.work(Work { results: 2, ..RESULT }, at(start, 400));
        assert_eq!(clocks.due(at(start, 899)), None);
        assert_eq!(clocks.due(at(start, 900)), Some(Due::Linger));
        let in_flight =
            Work { results: 2, is_background_in_flight: true, is_working: true, ..RESULT };
        clocks.work(in_flight, at(start, 450));
        assert_eq!(clocks.due(at(start, 900)), None);
        clocks.work(Work { results: 2, ..RESULT }, at(start, 2_000));
        assert_eq!(clocks.next(), Some((at(start, 2_500), Due::Linger)));
    }

    #[test]
    fn another_turn_after_the_result_has_all_the_time_that_a_first_one_has() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 100));
        clocks.work(RESULT, at(start, 100));
        clocks.output(at(start, 300));
        clocks.work(Work { is_in_turn: true, ..RESULT }, at(start, 300));
        assert_eq!(clocks.next(), Some((at(start, 3_300), Due::Silence)));
        clocks.output(at(start, 2_000));
        clocks.work(Work { results: 2, ..RESULT }, at(start, 2_000));
        assert_eq!(clocks.next(), Some((at(start, 2_500), Due::Linger)));
    }

    #[test]
    fn what_was_said_to_run_is_no_silence_and_the_total_counts_all_the_same() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 100));
        clocks.work(Work { is_working: true, ..Work::default() }, at(start, 100));
        assert_eq!(clocks.next(), Some((at(start, 10_000), Due::Total)));
        clocks.output(at(start, 5_000));
        clocks.work(Work::default(), at(start, 5_000));
        assert_eq!(clocks.next(), Some((at(start, 8_000), Due::Silence)));
    }

    #[test]
    fn a_wait_before_a_retry_is_no_silence() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 100));
        let retry = Work { retries: 1, retry_delay_ms: 4_000, ..Work::default() };
        clocks.work(retry, at(start, 100));
        clocks.output(at(start, 200));
        clocks.work(retry, at(start, 200));
        assert_eq!(clocks.next(), Some((at(start, 7_100), Due::Silence)));
        let absurd = Work { retries: 2, retry_delay_ms: u64::MAX, ..Work::default() };
        clocks.work(absurd, at(start, 300));
        assert_eq!(clocks.next(), Some((at(start, 10_000), Due::Total)));
    }
}
