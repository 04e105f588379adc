//! `/metrics`, in the OpenMetrics text format: one file for each family of metrics.
//!
//! A new metric is a field of its family, its line in the family's `new`, and a method that says what has happened.
//! What can be read from state (sessions, running tasks) is no counter: it is set when a page is requested, so that it
//! cannot drift. Labels have values from closed lists only ([`label`]): no ids, no names, no paths.

mod label;
mod register;

mod batches;
mod conditions;
mod connections;
mod event_loop;
mod process;
mod sessions;
mod storage;
mod tasks;
mod timeouts;
mod workers;

pub(crate) use self::{
    connections::{CloseCode, HandshakeFailure},
    label::Label,
    process::{open_files, open_files_limit, resident_bytes},
    sessions::Debt,
    timeouts::Timeout,
    workers::AbnormalEnd,
};
use prometheus_client::{encoding::text, registry::Registry};

use self::{
    batches::BatchMetrics, conditions::ConditionMetrics, connections::ConnectionMetrics,
    event_loop::EventLoopMetrics, sessions::SessionMetrics, storage::StorageMetrics,
    tasks::TaskMetrics, timeouts::TimeoutMetrics, workers::WorkerMetrics,
};

/// The content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) event_loop: EventLoopMetrics,
    pub(crate) tasks: TaskMetrics,
    pub(crate) timeouts: TimeoutMetrics,
    pub(crate) workers: WorkerMetrics,
    pub(crate) sessions: SessionMetrics,
    pub(crate) connections: ConnectionMetrics,
    pub(crate) batches: BatchMetrics,
    pub(crate) conditions: ConditionMetrics,
    pub(crate) storage: StorageMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("cc_executor");
        let tasks = TaskMetrics::new(own);
        let timeouts = TimeoutMetrics::new(own);
        let workers = WorkerMetrics::new(own);
        let sessions = SessionMetrics::new(own);
        let connections = ConnectionMetrics::new(own);
        let batches = BatchMetrics::new(own);
        let storage = StorageMetrics::new(own);
        let conditions = ConditionMetrics::new(own);
        let event_loop = EventLoopMetrics::new(own);
        process::register(&mut registry);
        Self {
            conditions,
            timeouts,
            event_loop,
            tasks,
            workers,
            sessions,
            connections,
            batches,
            storage,
            registry,
        }
    }

    /// The page. What is read from state must have been set before.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a `String` does not fail.
            Err(_) => String::new(),
        }
    }
}
