//! The gate of a credential: every Claude task of every batch with that credential passes it before it
//! begins.
//!
//! ```text
//!   ask ──▶ waiting ──(no bar, a place, the gap since the last start)──▶ admitted ──▶ done
//!               └─ leave                              close(model, until) bars it
//! ```
//! A limit that one task meets bars it: for all, or for the tasks of one family of models, until one time.
//! ```text
//!   bar:  shut ──(its time has come, or it is opened)───────▶ ajar ──(the one has ended well, or runs long)──▶ gone
//!            ▲                              lets one in ────────┘ └─(it meets the limit again: close)──▶ shut
//! ```
//! Then one begins, and the others follow when it has ended without a limit, or has run for a while, with
//! gaps: parallel CLIs race on the login's refresh token, and a limit that is not over is met by one task and
//! not by all. A task that begins alone waits for no gap. A running task whose CLI has just met a limit bars
//! the others ([`Gate::suspect`]) until it is known whether that CLI recovers.
//!
//! Pure: the supervisor has one gate for each credential, and calls [`Gate::admit`] after every change and at the
//! time of [`Gate::wake_at_ms`]. Of a gate only its bars are stored; after a restart each waiting job asks
//! again, and [`Gate::adopted`] registers adopted tasks.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    jitter,
    life::Job,
    limits::{PROBE_MS, STAGGER_JITTER_MS, STAGGER_MS, WAIT_LONGEST_MS},
};

/// Who asks: one job of one batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub batch_id: String,
    pub job: Job,
}

/// What a bar applies to: the tasks of a family of models, or with `None` those of the whole account.
pub type Scope = Option<String>;

#[derive(Clone, Debug)]
pub struct Gate {
    jobs_limit: usize,
    seed: u64,
    bars: BTreeMap<Scope, Bar>,
    /// Running tasks whose CLI has met a limit and may recover, each with the scope of that limit.
    suspects: BTreeMap<Ticket, Scope>,
    /// The family of the account's default model, as soon as a task that names no model has reported it.
    default_model: Option<String>,
    /// Before this time no task begins beside another.
    next_start_ms: u64,
    starts: u64,
    waiting: VecDeque<Waiting>,
    /// The jobs of each batch that run.
    running: BTreeMap<String, Vec<Job>>,
}

#[derive(Clone, Debug)]
struct Waiting {
    ticket: Ticket,
    /// The family of the model that it names.
    model: Option<String>,
    /// So many of its batch may run at once.
    batch_jobs: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Bar {
    /// No task passes before this time, ms since the epoch.
    Shut { until_ms: u64 },
    /// One passes, to see whether the limit is over.
    Ajar,
    /// That one runs; the others wait for its end, at most until this time.
    Probed { by: Ticket, until_ms: u64 },
}

impl Gate {
    /// An open gate. `jobs_limit` tasks pass it at once, at least 1, whatever their batches.
    #[must_use]
    pub fn new(jobs_limit: usize, seed: u64) -> Self {
        Self {
            jobs_limit: jobs_limit.max(1),
            seed,
            bars: BTreeMap::new(),
            suspects: BTreeMap::new(),
            default_model: None,
            next_start_ms: 0,
            starts: 0,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
        }
    }

    /// Changes how many tasks pass it at once, at least 1. Those that have passed go on, also where they are more.
    pub fn set_jobs_limit(&mut self, jobs_limit: usize) {
        self.jobs_limit = jobs_limit.max(1);
    }

    /// Queues a job that uses a model of this family, or the account's default model; at most `batch_jobs` of its
    /// batch run at once. Asking twice is the same as asking once. The queue holds at most as many jobs as all
    /// batches may have under way.
    pub fn ask(&mut self, ticket: Ticket, model: Option<String>, batch_jobs: usize) {
        if !self.is_waiting(&ticket) && !self.is_running(&ticket) {
            self.waiting.push_back(Waiting { ticket, model, batch_jobs: batch_jobs.max(1) });
        }
    }

    /// Removes a job that was withdrawn, or has ended.
    pub fn leave(&mut self, ticket: &Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != *ticket);
        self.suspects.remove(ticket);
        // It has ended, and has not closed the gate again.
        self.bars.retain(|_, bar| !matches!(bar, Bar::Probed { by, .. } if by == ticket));
        if let Some(jobs) = self.running.get_mut(&ticket.batch_id) {
            jobs.retain(|job| *job != ticket.job);
            if jobs.is_empty() {
                self.running.remove(&ticket.batch_id);
            }
        }
    }

    /// Removes all jobs of a batch.
    pub fn leave_all(&mut self, batch_id: &str) {
        self.waiting.retain(|waiting| waiting.ticket.batch_id != batch_id);
        self.suspects.retain(|ticket, _| ticket.batch_id != batch_id);
        self.bars
            .retain(|_, bar| !matches!(bar, Bar::Probed { by, .. } if by.batch_id == batch_id));
        self.running.remove(batch_id);
    }

    /// Registers a job that runs since before this supervisor.
    pub fn adopted(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
        if !self.is_running(&ticket) {
            self.running.entry(ticket.batch_id).or_default().push(ticket.job);
        }
    }

    /// A limit was met: no task in its scope begins before `until_ms`, ms since the epoch, of which at most eight
    /// days count. A time earlier than the known one changes nothing.
    pub fn close(&mut self, scope: Scope, until_ms: u64, now_ms: u64) {
        let until_ms = until_ms.min(now_ms.saturating_add(WAIT_LONGEST_MS));
        if until_ms <= now_ms {
            return;
        }
        let known_ms = match self.bars.get(&scope) {
            Some(Bar::Shut { until_ms }) => *until_ms,
            Some(Bar::Ajar | Bar::Probed { .. }) | None => 0,
        };
        self.bars.insert(scope, Bar::Shut { until_ms: until_ms.max(known_ms) });
    }

    /// Opens a bar before its time: one task begins at once to see whether the limit is over. `false`: there
    /// is no such bar, or it is not shut.
    pub fn open(&mut self, scope: &Scope) -> bool {
        match self.bars.get_mut(scope) {
            Some(bar @ Bar::Shut { .. }) => {
                *bar = Bar::Ajar;
                true
            }
            Some(Bar::Ajar | Bar::Probed { .. }) | None => false,
        }
    }

    /// The wall clock has gone by so much more, or less, than time in which something could run. A clock that was
    /// set back makes no task wait longer: it is better that one task too many meets the limit.
    pub fn clock_moved(&mut self, by_ms: i64) {
        let back_ms = by_ms.min(0);
        self.next_start_ms = self.next_start_ms.saturating_add_signed(back_ms);
        for bar in self.bars.values_mut() {
            match bar {
                Bar::Shut { until_ms } | Bar::Probed { until_ms, .. } => {
                    *until_ms = until_ms.saturating_add_signed(back_ms);
                }
                Bar::Ajar => {}
            }
        }
    }

    /// The CLI of a running task has met a limit and may recover: no task in its scope begins until this one
    /// has left, or is cleared.
    pub fn suspect(&mut self, ticket: Ticket, scope: Scope) {
        if self.is_running(&ticket) {
            self.suspects.insert(ticket, scope);
        }
    }

    /// The CLI of this task has recovered from the limit.
    pub fn clear(&mut self, ticket: &Ticket) {
        self.suspects.remove(ticket);
    }

    /// A task that names no model has run with one of this family.
    pub fn learn_default_model(&mut self, model: String) {
        self.default_model = Some(model);
    }

    /// Until when tasks of this model are held up, ms since the epoch, and by which bar; `None` while they are not.
    #[must_use]
    pub fn closed_for(&self, model: Option<&str>) -> Option<(Scope, u64)> {
        let closed = self.closed().filter(|(scope, _)| self.is_in(model, scope));
        let last = closed.max_by_key(|(_, until_ms)| *until_ms);
        last.map(|(scope, until_ms)| (scope.clone(), until_ms))
    }

    /// What is shut, and until when, ms since the epoch.
    pub fn closed(&self) -> impl Iterator<Item = (&Scope, u64)> {
        self.bars.iter().filter_map(|(scope, bar)| match bar {
            Bar::Shut { until_ms } => Some((scope, *until_ms)),
            Bar::Ajar | Bar::Probed { .. } => None,
        })
    }

    /// The jobs that wait, in the order in which they asked.
    pub fn waiting(&self) -> impl Iterator<Item = &Ticket> {
        self.waiting.iter().map(|waiting| &waiting.ticket)
    }

    /// How many of those that wait are in this scope.
    #[must_use]
    pub fn waiting_in(&self, scope: &Scope) -> usize {
        let is_in = |waiting: &&Waiting| self.is_in(waiting.model.as_deref(), scope);
        self.waiting.iter().filter(is_in).count()
    }

    #[must_use]
    pub fn running(&self) -> usize {
        self.running.values().map(Vec::len).sum()
    }

    /// Admits the jobs that may begin: in the order in which they asked, except that none waits behind a job whose
    /// own batch has no place, or whose model has a limit of its own.
    #[must_use = "who is admitted counts as running"]
    pub fn admit(&mut self, now_ms: u64) -> Vec<Ticket> {
        self.bars.retain(|_, bar| match bar {
            Bar::Shut { until_ms } if *until_ms <= now_ms => {
                *bar = Bar::Ajar;
                true
            }
            Bar::Shut { .. } | Bar::Ajar => true,
            Bar::Probed { until_ms, .. } => *until_ms > now_ms,
        });
        let mut admitted = Vec::new();
        while self.may_start(now_ms)
            && let Some(place) = self.first_that_may_begin()
            && let Some(Waiting { ticket, model, .. }) = self.waiting.remove(place)
        {
            let jitter = jitter::up_to(STAGGER_JITTER_MS, self.seed, &[3, self.starts]);
            self.starts += 1;
            self.next_start_ms = now_ms.saturating_add(STAGGER_MS + jitter);
            self.probe(&ticket, model.as_deref(), now_ms);
            self.running.entry(ticket.batch_id.clone()).or_default().push(ticket.job);
            admitted.push(ticket);
        }
        admitted
    }

    /// The job that passes a bar that is ajar is the one that shows whether its limit is over.
    fn probe(&mut self, ticket: &Ticket, model: Option<&str>, now_ms: u64) {
        let own = model.or(self.default_model.as_deref()).map(str::to_owned);
        for (scope, bar) in &mut self.bars {
            if *bar == Bar::Ajar && (scope.is_none() || *scope == own) {
                let until_ms = now_ms.saturating_add(PROBE_MS);
                *bar = Bar::Probed { by: ticket.clone(), until_ms };
            }
        }
    }

    /// When to call [`Gate::admit`] though nothing has changed; `None` if that would admit no job.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        let bars = self.bars.values().filter_map(|bar| match bar {
            Bar::Shut { until_ms } | Bar::Probed { until_ms, .. } => Some(*until_ms),
            Bar::Ajar => None,
        });
        let is_full = self.running() >= self.jobs_limit;
        let has_next = !is_full && self.first_that_may_begin().is_some();
        bars.chain(has_next.then_some(self.next_start_ms)).min()
    }

    fn may_start(&self, now_ms: u64) -> bool {
        let running = self.running();
        let gap_is_over = running == 0 || now_ms >= self.next_start_ms;
        running < self.jobs_limit && gap_is_over
    }

    fn first_that_may_begin(&self) -> Option<usize> {
        self.waiting.iter().position(|waiting| {
            let running = self.running.get(&waiting.ticket.batch_id).map_or(0, Vec::len);
            running < waiting.batch_jobs && !self.is_barred(waiting.model.as_deref())
        })
    }

    fn is_barred(&self, model: Option<&str>) -> bool {
        let shut = self.bars.iter().filter(|(_, bar)| **bar != Bar::Ajar).map(|(scope, _)| scope);
        shut.chain(self.suspects.values()).any(|scope| self.is_in(model, scope))
    }

    /// Whether a task of this model is held up by what holds up this scope.
    fn is_in(&self, model: Option<&str>, scope: &Scope) -> bool {
        let model = model.or(self.default_model.as_deref());
        scope.is_none() || scope.as_deref() == model
    }

    fn is_waiting(&self, ticket: &Ticket) -> bool {
        self.waiting.iter().any(|waiting| waiting.ticket == *ticket)
    }

    fn is_running(&self, ticket: &Ticket) -> bool {
        self.running.get(&ticket.batch_id).is_some_and(|jobs| jobs.contains(&ticket.job))
    }
}

#[cfg(test)]
mod tests;
