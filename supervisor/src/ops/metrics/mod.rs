//! `/metrics`, in the OpenMetrics text format, or in the older one of Prometheus ([`plain`]): one file for each family of metrics.
//!
//! A new metric is a field of its family, its line in the family's `new`, and a method that says what has happened.
//! What can be read from state (sessions, running tasks) is no counter: it is set when a page is requested, so that it
//! cannot drift. Labels have values from closed lists only ([`label`]): no ids, no names, no paths.

mod label;
mod plain;
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

/// The form of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Plain,
}

impl Format {
    /// What an `Accept` header asks for: the newer format only where it is named, as the client libraries of Prometheus do.
    #[must_use]
    pub(crate) fn of_accept(accept: &str) -> Self {
        let mut types = accept.split(',').filter_map(|range| range.split(';').next());
        match types.any(|name| name.trim().eq_ignore_ascii_case("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Plain,
        }
    }

    #[must_use]
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

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
    pub(crate) fn text(&self, format: Format) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) if format == Format::Plain => plain::of_open_metrics(&out),
            Ok(()) => out,
            // Writing to a `String` does not fail.
            Err(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_format_is_for_those_who_name_it() {
        for plain in ["", "*/*", "text/html, */*;q=0.8", "text/plain;version=0.0.4"] {
            assert_eq!(Format::of_accept(plain), Format::Plain, "{plain}");
        }
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::of_accept(prometheus), Format::OpenMetrics);
    }
}
