//! Counters for `/metrics`, in the OpenMetrics text format.
//!
//! Owns the registry. A gauge that can be computed from state (sessions, running tasks) is set when a page is requested,
//! so that it cannot drift.

use std::sync::atomic::AtomicU64;

use cc_batch::retry::Class;
use cc_events::Verdict;
use cc_protocol::gate::GateSummary;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

/// The content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByVerdict {
    verdict: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByReason {
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByClass {
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCredential {
    credential: String,
    /// Empty for all.
    model: String,
}

/// What the caller of [`Metrics::text`] counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    pub(crate) sessions: usize,
    /// Tasks that are not over.
    pub(crate) tasks: usize,
    /// Batches that are not over.
    pub(crate) batches: usize,
    /// The gates of their Claude tasks.
    pub(crate) gates: Vec<GateSummary>,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    tasks_started: Counter<u64, AtomicU64>,
    tasks_completed: Family<ByVerdict, Counter>,
    tasks_adopted: Counter<u64, AtomicU64>,
    log_failures: Counter<u64, AtomicU64>,
    logs_removed: Counter<u64, AtomicU64>,
    sessions_refused: Counter<u64, AtomicU64>,
    workers_lost: Family<ByReason, Counter>,
    keepers_lost: Counter<u64, AtomicU64>,
    sweeps: Counter<u64, AtomicU64>,
    sessions: Gauge,
    tasks_running: Gauge,
    batch_attempts: Family<ByClass, Counter>,
    batches_running: Gauge,
    gate_closed_until: Family<ByCredential, Gauge>,
    gate_waiting: Family<ByCredential, Gauge>,
    gate_running: Family<ByCredential, Gauge>,
}

impl Metrics {
    #[must_use]
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("cc_executor");
        let to = &mut registry;
        Self {
            tasks_started: add(to, "tasks_started", "Workers started"),
            tasks_completed: add(to, "tasks_completed", "Tasks that ended, by verdict"),
            tasks_adopted: add(
                to,
                "tasks_adopted",
                "Tasks of earlier supervisors whose workers were adopted",
            ),
            log_failures: add(to, "log_failures", "Tasks whose log could not be written"),
            logs_removed: add(
                to,
                "logs_removed",
                "Logs of ended tasks that were removed for their age, number or size",
            ),
            sessions_refused: add(
                to,
                "sessions_refused",
                "Connections refused at the session limit",
            ),
            workers_lost: add(
                to,
                "workers_lost",
                "Workers that ended before their tasks had a terminal event, by reason",
            ),
            keepers_lost: add(to, "keepers_lost", "Keepers of workers that died or did not answer"),
            sweeps: add(
                to,
                "sweeps",
                "Looks at all processes for what dead workers have left; one serves all that wait",
            ),
            sessions: add(to, "sessions", "Sessions now"),
            tasks_running: add(to, "tasks_running", "Tasks now"),
            batch_attempts: add(
                to,
                "batch_attempts",
                "Attempts and hooks of batches that ended, by what may follow",
            ),
            batches_running: add(to, "batches_running", "Batches that are not over, now"),
            gate_closed_until: add(
                to,
                "gate_closed_until_seconds",
                "When the limit of a credential ends that its tasks wait for; 0 while they pass",
            ),
            gate_waiting: add(
                to,
                "gate_waiting",
                "Tasks of batches that wait for their credential's gate, now",
            ),
            gate_running: add(
                to,
                "gate_running",
                "Tasks of batches that have passed their credential's gate and run, now",
            ),
            registry,
        }
    }

    /// An attempt, or a hook, of a batch ended.
    pub(crate) fn attempt_ended(&self, class: Class) {
        let class = match class {
            Class::Done => "done",
            Class::Transient { .. } => "transient",
            Class::Limit { .. } => "limit",
            Class::Unavailable { .. } => "unavailable",
            Class::Interrupted => "interrupted",
            Class::Lost => "lost",
            Class::TimedOut => "timed_out",
            Class::Never { .. } => "final",
        };
        self.batch_attempts.get_or_create(&ByClass { class: class.to_owned() }).inc();
    }

    pub(crate) fn task_started(&self) {
        self.tasks_started.inc();
    }

    pub(crate) fn task_completed(&self, verdict: Verdict) {
        self.tasks_completed
            .get_or_create(&ByVerdict { verdict: verdict.as_str().to_owned() })
            .inc();
    }

    pub(crate) fn task_adopted(&self) {
        self.tasks_adopted.inc();
    }

    pub(crate) fn log_failed(&self) {
        self.log_failures.inc();
    }

    /// The log of an ended task was removed.
    pub(crate) fn log_removed(&self) {
        self.logs_removed.inc();
    }

    /// A worker ended before its task had a terminal event.
    pub(crate) fn worker_lost(&self, reason: &str) {
        self.workers_lost.get_or_create(&ByReason { reason: reason.to_owned() }).inc();
    }

    pub(crate) fn keeper_lost(&self) {
        self.keepers_lost.inc();
    }

    /// All processes were looked at for what dead workers have left.
    pub(crate) fn swept(&self) {
        self.sweeps.inc();
    }

    pub(crate) fn session_refused(&self) {
        self.sessions_refused.inc();
    }

    /// The page, with what the caller has counted.
    #[must_use]
    pub(crate) fn text(&self, now: &Now) -> String {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.sessions.set(gauge(now.sessions));
        self.tasks_running.set(gauge(now.tasks));
        self.batches_running.set(gauge(now.batches));
        // Without this a gate that is gone would stay on the page.
        for family in [&self.gate_closed_until, &self.gate_waiting, &self.gate_running] {
            family.clear();
        }
        for gate in &now.gates {
            let of = ByCredential {
                credential: gate.account.clone(),
                model: gate.model.clone().unwrap_or_default(),
            };
            let closed_until_s = gate.closed_until_ms.unwrap_or(0) / 1000;
            let closed_until_s = i64::try_from(closed_until_s).unwrap_or(i64::MAX);
            self.gate_closed_until.get_or_create(&of).set(closed_until_s);
            self.gate_waiting.get_or_create(&of).set(gauge(gate.waiting as usize));
            self.gate_running.get_or_create(&of).set(gauge(gate.running as usize));
        }
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a `String` does not fail.
            Err(_) => String::new(),
        }
    }
}

/// A metric of the registry, at zero.
fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}
