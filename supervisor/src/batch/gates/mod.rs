//! The gates of all credentials: Claude tasks of all batches pass the one of their credential.
//!
//! What a gate does is [`cc_batch::gate`]'s; here they are kept, and [`keep`] is their one timer. A gate is not
//! stored: at a restart those who wait ask again, and a closed one is closed again by the tasks that wait for
//! their limit to end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use cc_batch::{Gate, Scope, Ticket, rules};
use cc_claude::limit::model_family;
use cc_protocol::{
    error::{ErrorCode, ErrorObject},
    execute::Execute,
    gate::GateSummary,
};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Notify, time::Instant};

use crate::{
    config::{environment::Base, limits},
    ops::{clock::now_ms, uptime},
    task::spec,
};

/// Which account: a fingerprint that gives nothing away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credential(String);

impl fmt::Display for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The gates.
#[derive(Debug)]
pub struct Gates {
    claude_jobs: usize,
    environment: OnceLock<Base>,
    gates: Mutex<BTreeMap<Credential, Guarded>>,
    pub has_changed: Notify,
}

#[derive(Debug)]
struct Guarded {
    gate: Gate,
    /// Why it is closed for whom.
    why: BTreeMap<Scope, String>,
    /// When it was last shut, by the clock that stands still in gaps.
    shut_at: BTreeMap<Scope, Instant>,
}

/// Through which gate a task passes, and as whom it asks there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Of which account it is.
    pub credential: Credential,
    /// The family of the model that it names.
    pub model: Option<String>,
}

/// How a gate stands, for those who watch over the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateFacts {
    /// Of which account.
    pub credential: Credential,
    /// Whom it holds up.
    pub scope: Scope,
    /// Milliseconds since the Unix epoch; `None`: it is open.
    pub closed_until_ms: Option<u64>,
    /// Why it is closed.
    pub why: Option<String>,
    /// Tasks that wait.
    pub waiting: usize,
    /// Tasks that have passed and run.
    pub running: usize,
}

impl GateFacts {
    /// By which it is opened.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.scope {
            None => self.credential.to_string(),
            Some(model) => format!("{}:{model}", self.credential),
        }
    }

    /// In the words of the wire.
    #[must_use]
    pub fn summary(self) -> GateSummary {
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
    /// None yet; each lets at most `claude_jobs` run at once.
    #[must_use]
    pub fn new(claude_jobs: usize) -> Self {
        Self {
            claude_jobs,
            environment: OnceLock::new(),
            gates: Mutex::default(),
            has_changed: Notify::new(),
        }
    }

    /// What tasks get of the environment; before the first batch.
    pub fn set_environment(&self, environment: &Base) {
        self.environment.get_or_init(|| environment.clone());
    }

    /// The account of a Claude task; `None` for any other task, which passes no gate.
    #[must_use]
    pub fn credential(&self, task: &Execute) -> Option<Credential> {
        if !spec::is_claude(&task.program) {
            return None;
        }
        let mut hash = Sha256::new();
        for name in rules::CREDENTIAL_VARIABLES {
            let value = match task.env.get(name) {
                Some(wish) => wish.as_deref(),
                None => self.environment.get().and_then(|base| base.get(name)),
            };
            hash.update(value.unwrap_or_default());
            hash.update([0]);
        }
        let digits: String =
            hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(Credential(digits))
    }

    /// Where a Claude task passes; `None` for any other task.
    #[must_use]
    pub fn pass(&self, task: &Execute) -> Option<Pass> {
        let credential = self.credential(task)?;
        Some(Pass { credential, model: rules::model(task).and_then(named_family) })
    }

    /// Somebody wants to begin; at most `batch_jobs` of its batch at once.
    pub fn ask(&self, pass: &Pass, ticket: Ticket, batch_jobs: usize) {
        let model = pass.model.clone();
        self.change(&pass.credential, |guarded| guarded.gate.ask(ticket, model, batch_jobs));
    }

    /// Somebody has no wish to begin any more, or has ended.
    pub fn leave(&self, credential: &Credential, ticket: &Ticket) {
        self.change(credential, |guarded| guarded.gate.leave(ticket));
    }

    /// Somebody runs already.
    pub fn adopted(&self, credential: &Credential, ticket: Ticket) {
        self.change(credential, |guarded| guarded.gate.adopted(ticket));
    }

    /// A limit was met, in these words.
    pub fn close(&self, credential: &Credential, scope: Scope, until_ms: u64, why: &str) {
        self.change(credential, |guarded| {
            guarded.why.insert(scope.clone(), why.to_owned());
            guarded.shut_at.insert(scope.clone(), uptime::now());
            guarded.gate.close(scope, until_ms, now_ms());
        });
    }

    /// A running task was told of a limit; see [`Gate::suspect`].
    pub fn suspect(&self, credential: &Credential, ticket: Ticket, scope: Scope) {
        self.change(credential, |guarded| guarded.gate.suspect(ticket, scope));
    }

    /// It got over it.
    pub fn clear(&self, credential: &Credential, ticket: &Ticket) {
        self.change(credential, |guarded| guarded.gate.clear(ticket));
    }

    /// A task that names no model has run with this one.
    pub fn learn_default_model(&self, credential: &Credential, model: &str) {
        if let Some(family) = named_family(model) {
            self.change(credential, |guarded| guarded.gate.learn_default_model(family));
        }
    }

    /// Until when such tasks are held up, and why.
    #[must_use]
    pub fn closed(&self, pass: &Pass) -> Option<(u64, String)> {
        let gates = self.gates();
        let guarded = gates.get(&pass.credential)?;
        let (scope, until_ms) = guarded.gate.closed_for(pass.model.as_deref())?;
        Some((until_ms, guarded.why.get(&scope).cloned().unwrap_or_default()))
    }

    /// How all of them stand: an account's, and one more for each family of models that has a limit of its own.
    #[must_use]
    pub fn summaries(&self) -> Vec<GateSummary> {
        self.facts().into_iter().map(GateFacts::summary).collect()
    }

    /// Each gate that a task has asked for.
    #[must_use]
    pub fn facts(&self) -> Vec<GateFacts> {
        Self::facts_of(&self.gates())
    }

    fn facts_of(gates: &BTreeMap<Credential, Guarded>) -> Vec<GateFacts> {
        let mut facts = Vec::new();
        for (credential, Guarded { gate, why, .. }) in gates.iter() {
            let closed: BTreeMap<&Scope, u64> = gate.closed().collect();
            let everybody = None;
            let scopes = closed.keys().copied().filter(|scope| scope.is_some());
            for scope in std::iter::once(&everybody).chain(scopes) {
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

    /// Opens what is shut: all of it, or one by its id; of an account's id also what is shut for its models.
    ///
    /// # Errors
    /// That there is no such gate, or that it is open.
    pub fn open(&self, id: Option<&str>) -> Result<Vec<GateFacts>, ErrorObject> {
        let mut opened = Vec::new();
        let facts = self.facts();
        let is_meant = |facts: &&GateFacts| {
            id.is_none_or(|id| id == facts.id() || id == facts.credential.to_string())
        };
        for facts in facts.iter().filter(is_meant).filter(|facts| facts.closed_until_ms.is_some()) {
            self.change(&facts.credential, |guarded| {
                if guarded.gate.open(&facts.scope) {
                    opened.push(facts.clone());
                }
            });
        }
        match id {
            Some(id) if opened.is_empty() => {
                let shown: String = id.chars().take(64).collect();
                let message = match facts.iter().find(is_meant) {
                    Some(_) => format!("the gate {shown} is not shut"),
                    None => format!("Invalid params: gate_id is no gate: {shown:?}; see gate.list"),
                };
                let code = match facts.iter().find(is_meant) {
                    Some(_) => ErrorCode::NoProcess,
                    None => ErrorCode::InvalidParams,
                };
                Err(ErrorObject::new(code, message).with("field", "gate_id"))
            }
            Some(_) | None => Ok(opened),
        }
    }

    /// The ids of those that were shut long ago: limits are lifted early, too, and nobody may be there to say so.
    pub fn overdue(&self, now: Instant) -> Vec<String> {
        let gates = self.gates();
        let is_overdue = |facts: &&GateFacts| {
            let guarded = gates.get(&facts.credential);
            let shut_at = guarded.and_then(|guarded| guarded.shut_at.get(&facts.scope));
            let is_long_ago = |at: &Instant| now.duration_since(*at) >= limits::GATE_TRIED_AGAIN;
            facts.closed_until_ms.is_some() && shut_at.is_some_and(is_long_ago)
        };
        let facts = Self::facts_of(&gates);
        facts.iter().filter(is_overdue).map(GateFacts::id).collect()
    }

    fn change(&self, credential: &Credential, change: impl FnOnce(&mut Guarded)) {
        let mut gates = self.gates();
        let guarded = gates.entry(credential.clone()).or_insert_with(|| {
            // Only for chance; which one does not matter.
            let seed = now_ms();
            Guarded {
                gate: Gate::new(self.claude_jobs, seed),
                why: BTreeMap::new(),
                shut_at: BTreeMap::new(),
            }
        });
        change(guarded);
        drop(gates);
        self.has_changed.notify_one();
    }

    pub fn clock_moved(&self, by_ms: i64) {
        for guarded in self.gates().values_mut() {
            guarded.gate.clock_moved(by_ms);
        }
    }

    /// Lets in who may begin now; says when to ask again, and how many gates have opened.
    pub fn admit(&self, now_ms: u64) -> (Vec<(Credential, Ticket)>, Option<u64>, bool) {
        let mut admitted = Vec::new();
        let mut has_opened = false;
        let mut gates = self.gates();
        for (credential, guarded) in gates.iter_mut() {
            let were_closed = guarded.gate.closed().count();
            let tickets = guarded.gate.admit(now_ms);
            let Guarded { gate, why, .. } = guarded;
            has_opened |= gate.closed().count() < were_closed;
            why.retain(|scope, _| gate.closed().any(|(closed, _)| closed == scope));
            admitted.extend(tickets.into_iter().map(|ticket| (credential.clone(), ticket)));
        }
        gates.retain(|_, Guarded { gate, .. }| {
            let is_idle = gate.running() == 0 && gate.waiting().next().is_none();
            !is_idle || gate.closed().next().is_some()
        });
        let wake_at_ms = gates.values().filter_map(|guarded| guarded.gate.wake_at_ms()).min();
        (admitted, wake_at_ms, has_opened)
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<Credential, Guarded>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The family of a model; `None` for the name that means the account's own choice.
fn named_family(model: &str) -> Option<String> {
    Some(model_family(model)).filter(|family| family != "default")
}

#[cfg(test)]
mod tests;
