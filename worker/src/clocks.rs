//! The four clocks of a task. Pure: time comes in as an argument. Paused time counts for none of them.
//!
//! ```text
//! total         from the start
//! first output  from the start, until there is any
//! silence       from the last byte of output (or the start)
//! linger        from a Claude task's last result line, unless background tasks are in flight
//! ```

use std::time::{Duration, Instant};

use cc_link::spec::Deadlines;

/// The state of all clocks.
#[derive(Clone, Debug)]
pub struct Clocks {
    deadlines: Deadlines,
    started: Instant,
    last_output: Option<Instant>,
    last_result: Option<Instant>,
    is_background_in_flight: bool,
    paused_at: Option<Instant>,
}

/// Which clock has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Total,
    FirstOutput,
    Silence,
    Linger,
}

impl Clocks {
    pub fn new(deadlines: Deadlines, now: Instant) -> Self {
        Self {
            deadlines,
            started: now,
            last_output: None,
            last_result: None,
            is_background_in_flight: false,
            paused_at: None,
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Something was read.
    pub fn output(&mut self, now: Instant) {
        self.last_output = Some(now);
    }

    /// A result line was read.
    pub fn result(&mut self, now: Instant) {
        self.last_result = Some(now);
    }

    /// Whether background tasks are in flight, which keep the linger clock from running.
    pub fn set_background_in_flight(&mut self, is_in_flight: bool, now: Instant) {
        if self.is_background_in_flight && !is_in_flight && self.last_result.is_some() {
            self.last_result = Some(now);
        }
        self.is_background_in_flight = is_in_flight;
    }

    /// Stops all clocks.
    pub fn pause(&mut self, now: Instant) {
        self.paused_at.get_or_insert(now);
    }

    /// Lets all clocks go on from where they stopped.
    pub fn resume(&mut self, now: Instant) {
        let Some(paused_at) = self.paused_at.take() else { return };
        let paused = now.saturating_duration_since(paused_at);
        self.started += paused;
        for moment in [&mut self.last_output, &mut self.last_result].into_iter().flatten() {
            // Output that was still in the pipe can have been read during the pause.
            *moment = (*moment + paused).min(now);
        }
    }

    /// Takes back from all clocks the time, up to now, in which nothing could run.
    pub fn skip(&mut self, gap: Duration, now: Instant) {
        if !self.is_paused() {
            self.pause(now.checked_sub(gap).unwrap_or(now));
            self.resume(now);
        }
    }

    /// The clock that runs out next and when; `None` while none runs.
    pub fn next(&self) -> Option<(Instant, Due)> {
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
            Some(result) if !self.is_background_in_flight => {
                after(result, Some(self.deadlines.linger_ms), Due::Linger)
            }
            Some(_) | None => None,
        };
        let silence_start = self.last_output.unwrap_or(self.started);
        [
            after(self.started, self.deadlines.total_ms, Due::Total),
            first_output,
            after(silence_start, self.deadlines.silence_ms, Due::Silence),
            linger,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(moment, _)| *moment)
    }

    /// What is left of the total deadline, milliseconds; `None` where there is none.
    pub fn total_left_ms(&self, now: Instant) -> Option<u64> {
        let total_ms = self.deadlines.total_ms?;
        let ran = self.paused_at.unwrap_or(now).saturating_duration_since(self.started);
        Some(total_ms.saturating_sub(u64::try_from(ran.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The clock that has run out, if any.
    pub fn due(&self, now: Instant) -> Option<Due> {
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

    #[test]
    fn lingering_begins_with_the_last_result_and_not_before_background_tasks_are_done() {
        let start = Instant::now();
        let mut clocks = Clocks::new(DEADLINES, start);
        clocks.output(at(start, 100));
        clocks.result(at(start, 100));
        clocks.output(at(start, 400));
        clocks.result(at(start, 400));
        assert_eq!(clocks.due(at(start, 899)), None);
        assert_eq!(clocks.due(at(start, 900)), Some(Due::Linger));
        clocks.set_background_in_flight(true, at(start, 450));
        assert_eq!(clocks.due(at(start, 900)), None);
        clocks.set_background_in_flight(false, at(start, 2_000));
        assert_eq!(clocks.next(), Some((at(start, 2_500), Due::Linger)));
    }
}
