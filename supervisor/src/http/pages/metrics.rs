//! `/metrics`: what is counted as it happens, and what is read from state now.

use hyper::{StatusCode, header::CONTENT_TYPE};

use crate::{
    http::{
        response::{HttpResponse, text, with},
        server::Server,
    },
    ops::metrics::CONTENT_TYPE as OPENMETRICS,
};

pub(super) async fn page(server: &Server) -> HttpResponse {
    let tasks = server.tasks();
    tasks.vitals.checkup.refresh().await;
    let metrics = &tasks.metrics;
    let (connected, waiting) = server.connections.services.sessions.counts();
    metrics.sessions.set_count(connected, waiting);
    metrics.tasks.set_running(tasks.registry.count());
    metrics.batches.set_running(server.batches().count(), &server.batches().gates.summaries());
    metrics.storage.set_space(tasks.vitals.checkup.space(), tasks.retention.bytes());
    metrics.conditions.set(&tasks.health);
    metrics.event_loop.read();
    with(text(StatusCode::OK, &metrics.text()), CONTENT_TYPE, OPENMETRICS)
}
