//! The gate of a credential: every Claude task of every batch with that credential passes it before it
//! begins.
//!
//! ```text
//!   ask ──▶ waiting ──(open, a place, the gap since the last start)──▶ admitted ──▶ done
//!               └─ leave                                     close(until) shuts it for all
//! ```
//! A limit that one task meets closes it for all, until one time. When it opens, one begins and the
//! others follow with gaps: parallel CLIs race on the login's refresh token, and a limit that is not
//! over is then met once and not by everybody. Who begins alone waits for no gap.
//!
//! Pure: the supervisor has one gate a credential, calls [`Gate::admit`] after every change and at the
//! time of [`Gate::wake_at_ms`]. A gate is not stored but for [`Gate::closed_until_ms`]; after a
//! restart whoever waits asks again, and adopted tasks are told by [`Gate::adopted`].

use std::collections::{BTreeMap, VecDeque};

use crate::{
    jitter,
    life::Job,
    limits::{STAGGER_JITTER_MS, STAGGER_MS, WAIT_LONGEST_MS},
};

/// Who asks: one job of one batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The batch's id.
    pub batch_id: String,
    /// Its job.
    pub job: Job,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Gate {
    jobs_limit: usize,
    seed: u64,
    closed_until_ms: Option<u64>,
    /// Before this nobody begins beside another.
    next_start_ms: u64,
    starts: u64,
    /// With how many of its batch may run at once.
    waiting: VecDeque<(Ticket, usize)>,
    /// How many run of each batch, and who.
    running: BTreeMap<String, Vec<Job>>,
}

impl Gate {
    /// An open gate. `jobs_limit` tasks pass it at once, at least 1, whatever their batches.
    #[must_use]
    pub fn new(jobs_limit: usize, seed: u64) -> Self {
        Self {
            jobs_limit: jobs_limit.max(1),
            seed,
            closed_until_ms: None,
            next_start_ms: 0,
            starts: 0,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
        }
    }

    /// Somebody wants to begin; at most `batch_jobs` of its batch run at once. Asking twice is as
    /// asking once. The queue is as long as all batches have tasks under way at most.
    pub fn ask(&mut self, ticket: Ticket, batch_jobs: usize) {
        if !self.is_waiting(&ticket) && !self.is_running(&ticket) {
            self.waiting.push_back((ticket, batch_jobs.max(1)));
        }
    }

    /// Somebody has no wish to begin any more, or has ended.
    pub fn leave(&mut self, ticket: &Ticket) {
        self.waiting.retain(|(waiting, _)| waiting != ticket);
        if let Some(jobs) = self.running.get_mut(&ticket.batch_id) {
            jobs.retain(|job| *job != ticket.job);
            if jobs.is_empty() {
                self.running.remove(&ticket.batch_id);
            }
        }
    }

    /// Somebody runs already, since before this supervisor.
    pub fn adopted(&mut self, ticket: Ticket) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
        if !self.is_running(&ticket) {
            self.running.entry(ticket.batch_id).or_default().push(ticket.job);
        }
    }

    /// A limit was met: nobody begins before `until_ms`, ms since the epoch, which counts for at most
    /// eight days. An earlier time than is known changes nothing.
    pub fn close(&mut self, until_ms: u64, now_ms: u64) {
        let until_ms = until_ms.min(now_ms.saturating_add(WAIT_LONGEST_MS));
        if until_ms > now_ms {
            self.closed_until_ms = self.closed_until_ms.max(Some(until_ms));
        }
    }

    /// The wall clock has gone by so much more, or less, than time in which something could run. One that was set back
    /// makes nobody wait longer: rather one too many looks whether the limit is over.
    pub fn clock_moved(&mut self, by_ms: i64) {
        let back_ms = by_ms.min(0);
        self.next_start_ms = self.next_start_ms.saturating_add_signed(back_ms);
        self.closed_until_ms =
            self.closed_until_ms.map(|until_ms| until_ms.saturating_add_signed(back_ms));
    }

    /// Until when it is closed, ms since the epoch; `None` while it is open.
    #[must_use]
    pub fn closed_until_ms(&self) -> Option<u64> {
        self.closed_until_ms
    }

    /// Who waits, in the order of their asking.
    pub fn waiting(&self) -> impl Iterator<Item = &Ticket> {
        self.waiting.iter().map(|(ticket, _)| ticket)
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.values().map(Vec::len).sum()
    }

    /// Lets in who may begin now: in the order of asking, but nobody waits behind one whose own batch
    /// has no place.
    #[must_use = "who is admitted counts as running"]
    pub fn admit(&mut self, now_ms: u64) -> Vec<Ticket> {
        if self.closed_until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            self.closed_until_ms = None;
        }
        let mut admitted = Vec::new();
        while self.may_start(now_ms)
            && let Some(place) = self.first_with_a_place()
            && let Some((ticket, _)) = self.waiting.remove(place)
        {
            let jitter = jitter::up_to(STAGGER_JITTER_MS, self.seed, &[3, self.starts]);
            self.starts += 1;
            self.next_start_ms = now_ms.saturating_add(STAGGER_MS + jitter);
            self.running.entry(ticket.batch_id.clone()).or_default().push(ticket.job);
            admitted.push(ticket);
        }
        admitted
    }

    /// When to call [`Gate::admit`] though nothing has changed; `None` if that would let nobody in.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        if let Some(until_ms) = self.closed_until_ms {
            return Some(until_ms);
        }
        let is_full = self.running() >= self.jobs_limit;
        (!is_full && self.first_with_a_place().is_some()).then_some(self.next_start_ms)
    }

    fn may_start(&self, now_ms: u64) -> bool {
        let running = self.running();
        let gap_is_over = running == 0 || now_ms >= self.next_start_ms;
        self.closed_until_ms.is_none() && running < self.jobs_limit && gap_is_over
    }

    fn first_with_a_place(&self) -> Option<usize> {
        self.waiting.iter().position(|(ticket, batch_jobs)| {
            self.running.get(&ticket.batch_id).map_or(0, Vec::len) < *batch_jobs
        })
    }

    fn is_waiting(&self, ticket: &Ticket) -> bool {
        self.waiting.iter().any(|(waiting, _)| waiting == ticket)
    }

    fn is_running(&self, ticket: &Ticket) -> bool {
        self.running.get(&ticket.batch_id).is_some_and(|jobs| jobs.contains(&ticket.job))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(batch: &str, task: usize) -> Ticket {
        Ticket { batch_id: batch.to_owned(), job: Job::Task(task) }
    }

    #[test]
    fn one_after_another_begins_without_a_gap() {
        let mut gate = Gate::new(4, 1);
        for task in 0..5 {
            gate.ask(ticket("a", task), 1);
        }
        for task in 0..5 {
            assert_eq!(gate.admit(1_000), [ticket("a", task)]);
            assert_eq!(gate.admit(1_000_000), [], "one at a time of a batch");
            gate.leave(&ticket("a", task));
        }
        assert_eq!(gate.wake_at_ms(), None);
    }

    #[test]
    fn who_begins_beside_another_does_so_after_a_gap() {
        let mut gate = Gate::new(4, 1);
        gate.ask(ticket("a", 0), 2);
        gate.ask(ticket("a", 1), 2);
        assert_eq!(gate.admit(1_000), [ticket("a", 0)]);
        let wake_ms = gate.wake_at_ms().unwrap();
        assert!((3_000..=4_000).contains(&wake_ms), "{wake_ms}");
        assert_eq!(gate.admit(wake_ms - 1), []);
        assert_eq!(gate.admit(wake_ms), [ticket("a", 1)]);
    }

    #[test]
    fn a_batch_without_a_place_holds_nobody_else_up() {
        let mut gate = Gate::new(4, 1);
        gate.adopted(ticket("a", 0));
        gate.ask(ticket("a", 1), 1);
        gate.ask(ticket("b", 0), 1);
        assert_eq!(gate.admit(1_000), [ticket("b", 0)]);
    }

    #[test]
    fn a_limit_closes_it_for_all_until_the_latest_time_that_was_named() {
        let mut gate = Gate::new(4, 1);
        gate.close(50_000, 1_000);
        gate.close(40_000, 1_000);
        gate.ask(ticket("a", 0), 2);
        gate.ask(ticket("b", 0), 2);
        assert_eq!(gate.admit(49_999), []);
        assert_eq!(gate.wake_at_ms(), Some(50_000));
        assert_eq!(gate.admit(50_000), [ticket("a", 0)], "one sees whether it is over");
        assert_eq!(gate.closed_until_ms(), None);
        // It is not: the other one never began.
        gate.close(90_000, 50_500);
        gate.leave(&ticket("a", 0));
        assert_eq!(gate.admit(60_000), []);
        assert_eq!(gate.admit(90_000), [ticket("b", 0)]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_longer_and_one_that_is_set_forward_opens_it() {
        const HOURS: i64 = 10 * 3_600_000;
        let now_ms = 100_000_000;
        let mut gate = Gate::new(4, 1);
        gate.ask(ticket("a", 0), 2);
        gate.ask(ticket("a", 1), 2);
        assert_eq!(gate.admit(now_ms), [ticket("a", 0)]);
        let back_ms = now_ms.saturating_add_signed(-HOURS);
        gate.clock_moved(-HOURS);
        assert!(gate.wake_at_ms().unwrap() <= back_ms + 3_000);
        gate.close(back_ms + 60_000, back_ms);
        gate.clock_moved(HOURS);
        assert_eq!(gate.closed_until_ms(), Some(back_ms + 60_000));
        assert_eq!(gate.admit(now_ms), [ticket("a", 1)]);
        gate.close(now_ms + 60_000, now_ms);
        gate.clock_moved(-HOURS);
        assert_eq!(gate.closed_until_ms(), Some(back_ms + 60_000));
    }

    #[test]
    fn a_time_that_cannot_be_meant_closes_it_for_eight_days_at_most() {
        let mut gate = Gate::new(1, 1);
        gate.close(u64::MAX, 1_000);
        assert_eq!(gate.closed_until_ms(), Some(1_000 + WAIT_LONGEST_MS));
        let mut gate = Gate::new(1, 1);
        gate.close(1_000, 1_000);
        assert_eq!(gate.closed_until_ms(), None);
    }

    proptest! {
        #[test]
        fn whoever_asks_is_admitted_once_in_the_end_and_never_over_a_limit(
            jobs_limit in 1_usize..4,
            batch_jobs in 1_usize..3,
            script in prop::collection::vec((0_u8..5, 0_usize..6, 0_u64..5_000), 0..60),
        ) {
            let mut gate = Gate::new(jobs_limit, 9);
            let mut now_ms = 1_000;
            let mut running: Vec<Ticket> = Vec::new();
            let mut asked = std::collections::BTreeSet::new();
            for (action, task, wait_ms) in script {
                let ticket = ticket(if task % 2 == 0 { "a" } else { "b" }, task);
                match action {
                    0 | 1 => if asked.insert(ticket.clone()) { gate.ask(ticket, batch_jobs) },
                    2 => if let Some(ended) = running.pop() { gate.leave(&ended) },
                    3 => gate.close(now_ms + wait_ms, now_ms),
                    _ => now_ms += wait_ms,
                }
                running.extend(gate.admit(now_ms));
                prop_assert!(running.len() <= jobs_limit);
                for batch in ["a", "b"] {
                    let of_batch = running.iter().filter(|ticket| ticket.batch_id == batch).count();
                    prop_assert!(of_batch <= batch_jobs);
                }
            }
            for _ in 0..100 {
                if let Some(ended) = running.pop() {
                    gate.leave(&ended);
                }
                now_ms = now_ms.max(gate.wake_at_ms().unwrap_or(now_ms));
                running.extend(gate.admit(now_ms));
            }
            prop_assert_eq!(gate.waiting().count(), 0);
            prop_assert_eq!(gate.running(), 0);
        }
    }
}
