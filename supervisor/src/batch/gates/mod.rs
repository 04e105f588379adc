//! The gates of all credentials: a Claude task of any batch passes the gate of its credential.
//!
//! [`cc_batch::gate`] decides who passes; this file holds one such gate for each credential and the reasons why it is
//! closed. A gate is not stored: after a restart the waiting tasks ask again, and tasks that wait for the end of a
//! limit close their gate again.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use cc_batch::{Gate, Scope, Ticket, rules};
use cc_claude::limit::model_family;
use cc_protocol::{execute::Execute, gate::GateSummary};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Notify, time::Instant};

use crate::{
    batch::error::BatchError,
    config::{environment::Base, limits},
    ops::{clock::now_ms, uptime},
    task::spec,
};

/// An account, as a fingerprint that reveals nothing of its credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Credential(String);

impl fmt::Display for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Gates {
    /// Tasks that each lets run at once.
    jobs: AtomicUsize,
    environment: RwLock<Arc<Base>>,
    gates: Mutex<BTreeMap<Credential, GateEntry>>,
    pub(crate) has_changed: Notify,
}

#[derive(Debug)]
struct GateEntry {
    gate: Gate,
    /// Why it is closed, for each scope that is.
    why: BTreeMap<Scope, String>,
    /// When it was last closed, by the clock that stands still in gaps.
    closed_at: BTreeMap<Scope, Instant>,
}

/// The gate that a task passes, and the model it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) credential: Credential,
    /// The family of the model that the task names, if it names one.
    pub(crate) model: Option<String>,
}

/// The state of a gate, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateFacts {
    pub(crate) credential: Credential,
    /// `None`: the whole account, else one family of models.
    pub(crate) scope: Scope,
    /// `None`: it is open.
    pub(crate) closed_until_ms: Option<u64>,
    pub(crate) why: Option<String>,
    pub(crate) waiting: usize,
    pub(crate) running: usize,
}

impl GateFacts {
    /// The id that `gate.open` takes.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        match &self.scope {
            None => self.credential.to_string(),
            Some(model) => format!("{}:{model}", self.credential),
        }
    }

    #[must_use]
    pub(crate) fn summary(self) -> GateSummary {
        GateSummary {
            gate_id: self.id(),
            account: self.credential.to_string(),
            model: self.scope,
            closed_until_ms: self.closed_until_ms,
            reason: self.why,
            waiting: self.waiting as u64,
            running: self.running as u64,
        }
    }
}

impl Gates {
    /// Each gate lets at most `claude_jobs` tasks run at once.
    #[must_use]
    pub(crate) fn new(claude_jobs: usize) -> Self {
        Self {
            jobs: AtomicUsize::new(claude_jobs),
            environment: RwLock::default(),
            gates: Mutex::default(),
            has_changed: Notify::new(),
        }
    }

    /// Changes how many tasks each gate lets run at once.
    pub(crate) fn set_jobs(&self, jobs: usize) {
        self.jobs.store(jobs, Ordering::Relaxed);
        for entry in self.gates().values_mut() {
            entry.gate.set_jobs_limit(jobs);
        }
        self.has_changed.notify_one();
    }

    /// The environment that tasks inherit. Must be set before the first batch.
    pub(crate) fn set_environment(&self, environment: &Arc<Base>) {
        let mut current = self.environment.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::clone(environment);
    }

    /// The account of a Claude task; `None` for any other task, which passes no gate.
    #[must_use]
    pub(crate) fn credential(&self, task: &Execute) -> Option<Credential> {
        if !spec::is_claude(&task.program) {
            return None;
        }
        let base = Arc::clone(&self.environment.read().unwrap_or_else(PoisonError::into_inner));
        let mut hash = Sha256::new();
        for name in rules::CREDENTIAL_VARIABLES {
            let value = match task.env.get(name) {
                Some(wish) => wish.as_deref(),
                None => base.get(name),
            };
            hash.update(value.unwrap_or_default());
            hash.update([0]);
        }
        let digits: String =
            hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(Credential(digits))
    }

    /// The gate of a Claude task; `None` for any other task.
    #[must_use]
    pub(crate) fn pass(&self, task: &Execute) -> Option<Pass> {
        let credential = self.credential(task)?;
        Some(Pass { credential, model: rules::model(task).and_then(named_family) })
    }

    /// Queues a job, of whose batch at most `batch_jobs` run at once.
    pub(crate) fn ask(&self, pass: &Pass, ticket: Ticket, batch_jobs: usize) {
        let model = pass.model.clone();
        self.change(&pass.credential, |entry| entry.gate.ask(ticket, model, batch_jobs));
    }

    /// A job was withdrawn or has ended. It leaves whatever gate it is in: a reload may have changed its account since it
    /// asked.
    pub(crate) fn leave(&self, ticket: &Ticket) {
        for entry in self.gates().values_mut() {
            entry.gate.leave(ticket);
        }
        self.has_changed.notify_one();
    }

    /// Forgets all jobs of a batch, which is being taken up again.
    pub(crate) fn leave_all(&self, batch_id: &str) {
        for entry in self.gates().values_mut() {
            entry.gate.leave_all(batch_id);
        }
        self.has_changed.notify_one();
    }

    /// A job of an earlier supervisor is running.
    pub(crate) fn adopted(&self, credential: &Credential, ticket: Ticket) {
        self.change(credential, |entry| entry.gate.adopted(ticket));
    }

    /// Closes a gate: a limit was met. `why` is the limit's own text.
    pub(crate) fn close(&self, credential: &Credential, scope: Scope, until_ms: u64, why: &str) {
        self.change(credential, |entry| {
            entry.why.insert(scope.clone(), why.to_owned());
            entry.closed_at.insert(scope.clone(), uptime::now());
            entry.gate.close(scope, until_ms, now_ms());
        });
    }

    /// A running task seems to have met a limit; see [`Gate::suspect`].
    pub(crate) fn suspect(&self, credential: &Credential, ticket: Ticket, scope: Scope) {
        self.change(credential, |entry| entry.gate.suspect(ticket, scope));
    }

    /// The task received an answer after all.
    pub(crate) fn clear(&self, credential: &Credential, ticket: &Ticket) {
        self.change(credential, |entry| entry.gate.clear(ticket));
    }

    /// A task that names no model was answered by this one.
    pub(crate) fn learn_default_model(&self, credential: &Credential, model: &str) {
        if let Some(family) = named_family(model) {
            self.change(credential, |entry| entry.gate.learn_default_model(family));
        }
    }

    /// Until when the gate holds up such tasks, and why.
    #[must_use]
    pub(crate) fn closed(&self, pass: &Pass) -> Option<(u64, String)> {
        let gates = self.gates();
        let entry = gates.get(&pass.credential)?;
        let (scope, until_ms) = entry.gate.closed_for(pass.model.as_deref())?;
        Some((until_ms, entry.why.get(&scope).cloned().unwrap_or_default()))
    }

    /// All gates: one for each account, and one more for each family of models with a limit of its own.
    #[must_use]
    pub(crate) fn summaries(&self) -> Vec<GateSummary> {
        self.facts().into_iter().map(GateFacts::summary).collect()
    }

    #[must_use]
    pub(crate) fn facts(&self) -> Vec<GateFacts> {
        Self::facts_of(&self.gates())
    }

    fn facts_of(gates: &BTreeMap<Credential, GateEntry>) -> Vec<GateFacts> {
        let mut facts = Vec::new();
        for (credential, GateEntry { gate, why, .. }) in gates.iter() {
            let closed: BTreeMap<&Scope, u64> = gate.closed().collect();
            let account = None;
            let scopes = closed.keys().copied().filter(|scope| scope.is_some());
            for scope in std::iter::once(&account).chain(scopes) {
                let closed_until_ms = closed.get(scope).copied();
                facts.push(GateFacts {
                    credential: credential.clone(),
                    scope: scope.clone(),
                    closed_until_ms,
                    why: closed_until_ms.and_then(|_| why.get(scope).cloned()),
                    waiting: gate.waiting_in(scope),
                    running: gate.running(),
                });
            }
        }
        facts
    }

    /// Opens closed gates: all of them, or those with this id. An account's id also opens the gates of its models.
    pub(crate) fn open(&self, id: Option<&str>) -> Result<Vec<GateFacts>, BatchError> {
        let mut opened = Vec::new();
        let facts = self.facts();
        let is_meant = |facts: &&GateFacts| {
            id.is_none_or(|id| id == facts.id() || id == facts.credential.to_string())
        };
        for facts in facts.iter().filter(is_meant).filter(|facts| facts.closed_until_ms.is_some()) {
            self.change(&facts.credential, |entry| {
                if entry.gate.open(&facts.scope) {
                    opened.push(facts.clone());
                }
            });
        }
        match id {
            Some(id) if opened.is_empty() => {
                Err(match facts.iter().any(|facts| is_meant(&facts)) {
                    true => BatchError::GateOpen { gate_id: id.to_owned() },
                    false => BatchError::NoSuchGate { gate_id: id.to_owned() },
                })
            }
            Some(_) | None => Ok(opened),
        }
    }

    /// The ids of gates that were closed long ago: a limit may have been lifted early, so one task is to try.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<String> {
        let gates = self.gates();
        let is_overdue = |facts: &&GateFacts| {
            let entry = gates.get(&facts.credential);
            let closed_at = entry.and_then(|entry| entry.closed_at.get(&facts.scope));
            let is_long_ago = |at: &Instant| now.duration_since(*at) >= limits::GATE_TRIED_AGAIN;
            facts.closed_until_ms.is_some() && closed_at.is_some_and(is_long_ago)
        };
        let facts = Self::facts_of(&gates);
        facts.iter().filter(is_overdue).map(GateFacts::id).collect()
    }

    fn change(&self, credential: &Credential, change: impl FnOnce(&mut GateEntry)) {
        let mut gates = self.gates();
        let entry = gates.entry(credential.clone()).or_insert_with(|| {
            // Any seed will do.
            let seed = now_ms();
            GateEntry {
                gate: Gate::new(self.jobs.load(Ordering::Relaxed), seed),
                why: BTreeMap::new(),
                closed_at: BTreeMap::new(),
            }
        });
        change(entry);
        drop(gates);
        self.has_changed.notify_one();
    }

    pub(crate) fn clock_moved(&self, by_ms: i64) {
        for entry in self.gates().values_mut() {
            entry.gate.clock_moved(by_ms);
        }
    }

    /// The jobs that may begin now, when to ask again, and whether a gate has opened.
    pub(crate) fn admit(&self, now_ms: u64) -> (Vec<(Credential, Ticket)>, Option<u64>, bool) {
        let mut admitted = Vec::new();
        let mut has_opened = false;
        let mut gates = self.gates();
        for (credential, entry) in gates.iter_mut() {
            let were_closed = entry.gate.closed().count();
            let tickets = entry.gate.admit(now_ms);
            let GateEntry { gate, why, .. } = entry;
            has_opened |= gate.closed().count() < were_closed;
            why.retain(|scope, _| gate.closed().any(|(closed, _)| closed == scope));
            admitted.extend(tickets.into_iter().map(|ticket| (credential.clone(), ticket)));
        }
        gates.retain(|_, GateEntry { gate, .. }| {
            let is_idle = gate.running() == 0 && gate.waiting().next().is_none();
            !is_idle || gate.closed().next().is_some()
        });
        let wake_at_ms = gates.values().filter_map(|entry| entry.gate.wake_at_ms()).min();
        (admitted, wake_at_ms, has_opened)
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<Credential, GateEntry>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The family of a model; `None` for the name of the account's default.
fn named_family(model: &str) -> Option<String> {
    Some(model_family(model)).filter(|family| family != "default")
}

#[cfg(test)]
mod tests;
