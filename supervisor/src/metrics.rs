//! Counters for `/metrics`, in the OpenMetrics text format.
//!
//! Owns the registry. What can be counted from state (sessions, running tasks) is set when it is asked for,
//! so that it cannot drift.

use std::sync::atomic::AtomicU64;

use cc_link::event::Verdict;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByVerdict {
    verdict: String,
}

/// The metrics of one supervisor.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    tasks_started: Counter<u64, AtomicU64>,
    tasks_completed: Family<ByVerdict, Counter>,
    tasks_adopted: Counter<u64, AtomicU64>,
    log_failures: Counter<u64, AtomicU64>,
    logs_removed: Counter<u64, AtomicU64>,
    sessions_refused: Counter<u64, AtomicU64>,
    sessions: Gauge,
    tasks_running: Gauge,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("cc_executor");
        let metrics = Self {
            tasks_started: Counter::default(),
            tasks_completed: Family::default(),
            tasks_adopted: Counter::default(),
            log_failures: Counter::default(),
            logs_removed: Counter::default(),
            sessions_refused: Counter::default(),
            sessions: Gauge::default(),
            tasks_running: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("tasks_started", "Workers started", metrics.tasks_started.clone());
        registry.register(
            "tasks_completed",
            "Tasks that ended, by verdict",
            metrics.tasks_completed.clone(),
        );
        registry.register(
            "tasks_adopted",
            "Tasks of earlier supervisors whose workers were adopted",
            metrics.tasks_adopted.clone(),
        );
        registry.register(
            "log_failures",
            "Tasks whose log could not be written",
            metrics.log_failures.clone(),
        );
        registry.register(
            "logs_removed",
            "Logs of ended tasks that were removed for their age, number or size",
            metrics.logs_removed.clone(),
        );
        registry.register(
            "sessions_refused",
            "Connections refused at the session limit",
            metrics.sessions_refused.clone(),
        );
        registry.register("sessions", "Sessions now", metrics.sessions.clone());
        registry.register("tasks_running", "Tasks now", metrics.tasks_running.clone());
        Self { registry, ..metrics }
    }

    /// A worker was started.
    pub fn task_started(&self) {
        self.tasks_started.inc();
    }

    /// A task ended.
    pub fn task_completed(&self, verdict: Verdict) {
        self.tasks_completed
            .get_or_create(&ByVerdict { verdict: verdict.as_str().to_owned() })
            .inc();
    }

    /// A worker was adopted.
    pub fn task_adopted(&self) {
        self.tasks_adopted.inc();
    }

    /// A task's log could not be written.
    pub fn log_failed(&self) {
        self.log_failures.inc();
    }

    /// The log of an ended task was removed.
    pub fn log_removed(&self) {
        self.logs_removed.inc();
    }

    /// A connection was refused at the session limit.
    pub fn session_refused(&self) {
        self.sessions_refused.inc();
    }

    /// Everything, with what the caller has counted now.
    #[must_use]
    pub fn text(&self, sessions: usize, tasks_running: usize) -> String {
        self.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
        self.tasks_running.set(i64::try_from(tasks_running).unwrap_or(i64::MAX));
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a text does not fail.
            Err(_) => String::new(),
        }
    }
}
