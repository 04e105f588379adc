//! `/metrics`: what is counted as it happens, and what is read from state now.

use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, VARY},
};

use crate::{
    http::{
        pages::request::PageRequest,
        response::{HttpResponse, text, with},
        server::Server,
    },
    ops::metrics::Format,
};

pub(super) async fn page(server: &Server, request: &PageRequest) -> HttpResponse {
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
    let format = Format::of_accept(&request.accept);
    let page = text(StatusCode::OK, &metrics.text(format));
    with(with(page, CONTENT_TYPE, format.content_type()), VARY, "Accept")
}
