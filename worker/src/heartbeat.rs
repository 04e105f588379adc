//! The signs of life that a worker gives its supervisor, and the record that it keeps of its tree.
//!
//! The supervisor need not ask: a worker that says nothing for long is unresponsive, and is killed. Without a supervisor
//! there is none to tell. The tree is recorded ([`tree_record`]) where no cgroup tells whose a process is.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use cc_events::Containment;
use cc_link::{
    notice::{Notice, SIGN_OF_LIFE_MS},
    spec::TaskSpec,
};
use cc_proctree::{
    kill::Killed,
    tree_record::{self, TreeRecorder},
};

use crate::journal::Journal;

const INTERVAL: Duration = Duration::from_millis(SIGN_OF_LIFE_MS);
/// After the start: a tree changes most when it is young, and a task that is shorter than the first pays nothing.
const FIRST_LOOKS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

#[derive(Debug)]
pub(crate) struct Heartbeat {
    schedule: Schedule,
    recorder: TreeRecorder,
    record_path: PathBuf,
}

impl Heartbeat {
    pub(crate) fn new(spec: &TaskSpec, started: Instant, containment: Containment) -> Self {
        let records_tree = containment == Containment::Subreaper;
        Self {
            schedule: Schedule::new(started, records_tree),
            recorder: TreeRecorder::default(),
            record_path: spec.log_path.with_file_name(tree_record::FILE_NAME),
        }
    }

    /// When [`Self::beat`] is to be called.
    pub(crate) fn next(&self, journal: &Journal) -> Option<Instant> {
        self.schedule.next(journal.pipe().fd().is_some())
    }

    /// Gives a sign of life and records the tree, when it is time.
    pub(crate) fn beat(&mut self, now: Instant, journal: &mut Journal) {
        let due = self.schedule.due(now);
        if due.sign_of_life {
            give_sign_of_life(journal);
        }
        if due.look {
            // Where the directory is full or gone, only the marker says whose a process is.
            drop(self.recorder.update(&self.record_path));
        }
    }

    /// To be called before a kill of the tree, which may take seconds.
    pub(crate) fn before_kill(&self, now: Instant, journal: &mut Journal) {
        if self.schedule.is_stale(now) {
            give_sign_of_life(journal);
        }
    }

    /// A tree that is proven empty needs no record.
    pub(crate) fn after_kill(&self, killed: Killed) {
        if killed.unkillable == 0 {
            self.recorder.remove(&self.record_path);
        }
    }
}

fn give_sign_of_life(journal: &mut Journal) {
    if journal.pipe().wants_sign_of_life() {
        journal.notice(pong(0));
    }
}

/// A sign of life.
pub(crate) fn pong(nonce: u64) -> Notice {
    Notice::Pong { nonce, version: Some(env!("CARGO_PKG_VERSION").to_owned()) }
}

/// Pure: time comes in as an argument.
#[derive(Debug)]
struct Schedule {
    next: Instant,
    /// `None`: the tree is not recorded.
    looks: Option<Looks>,
}

#[derive(Debug)]
struct Looks {
    next: Instant,
    count: usize,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Due {
    sign_of_life: bool,
    look: bool,
}

impl Schedule {
    fn new(now: Instant, records_tree: bool) -> Self {
        let looks = records_tree.then(|| Looks { next: now + FIRST_LOOKS[0], count: 0 });
        Self { next: now + INTERVAL, looks }
    }

    /// When [`Self::due`] is to be called.
    fn next(&self, has_supervisor: bool) -> Option<Instant> {
        let look = self.looks.as_ref().map(|looks| looks.next);
        has_supervisor.then_some(self.next).into_iter().chain(look).min()
    }

    fn due(&mut self, now: Instant) -> Due {
        let sign_of_life = self.next <= now;
        if sign_of_life {
            self.next = now + INTERVAL;
        }
        let mut look = false;
        if let Some(looks) = self.looks.as_mut().filter(|looks| looks.next <= now) {
            look = true;
            looks.count += 1;
            let wait = FIRST_LOOKS.get(looks.count).copied().unwrap_or(INTERVAL);
            // With the sign of life, so that one turn does both.
            let at = now + wait;
            looks.next = if at > self.next { self.next } else { at };
        }
        Due { sign_of_life, look }
    }

    /// Whether the last sign of life is so old that a supervisor might miss the next one during a kill.
    fn is_stale(&self, now: Instant) -> bool {
        self.next.saturating_duration_since(now) + Duration::from_secs(1) < INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_comes_every_five_seconds_and_no_turn_is_for_a_look_alone_after_the_first() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, true);
        let mut turns = Vec::new();
        for _ in 0..6 {
            let now = schedule.next(true).unwrap();
            let due = schedule.due(now);
            turns.push(((now - start).as_millis(), due.sign_of_life, due.look));
        }
        let expected = [
            (200, false, true),
            (1_200, false, true),
            (5_000, true, true),
            (10_000, true, true),
            (15_000, true, true),
            (20_000, true, true),
        ];
        assert_eq!(turns, expected);
    }

    #[test]
    fn without_a_supervisor_and_a_record_nothing_wakes_the_worker() {
        assert_eq!(Schedule::new(Instant::now(), false).next(false), None);
    }
}
