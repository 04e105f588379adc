//! Pages for operators and their probes: health, readiness, metrics.

use cc_protocol::legacy;
use hyper::{
    Method, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::{
    http::{
        response::{HttpResponse, json, text, with},
        server::Server,
    },
    ops::metrics,
};

/// The page at this path.
pub(super) fn answer(server: &Server, method: &Method, path: &str) -> HttpResponse {
    let is_readable = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/livez" | "/readyz" | "/healthz" | "/health" | "/metrics" if !is_readable => {
            with(text(StatusCode::METHOD_NOT_ALLOWED, "only GET"), ALLOW, "GET, HEAD")
        }
        "/livez" => json(StatusCode::OK, &json!({"status": "ok"})),
        "/readyz" => readiness(server, server.tasks().health.is_ready()),
        "/healthz" => readiness(server, true),
        "/health" => legacy_health(server),
        "/metrics" => metrics_page(server),
        _ => text(StatusCode::NOT_FOUND, "nothing here: connect a WebSocket to /ws/mcp"),
    }
}

fn readiness(server: &Server, is_ready: bool) -> HttpResponse {
    let sessions = server.connections.session_count();
    let tasks = server.tasks().registry.count();
    let problems = server.tasks().health.texts();
    let gates = server.batches().gates.facts();
    let gates: Vec<Value> = gates
        .into_iter()
        .map(|gate| {
            json!({
                "credential": gate.credential.to_string(),
                "model": gate.scope,
                "closed_until_ms": gate.closed_until_ms,
                "reason": gate.why,
                "waiting": gate.waiting,
                "running": gate.running,
            })
        })
        .collect();
    // Degraded is no reason to send clients elsewhere: what works keeps working.
    let (status, word) = if server.tasks().stage.is_stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if !is_ready {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    } else if problems.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::OK, "degraded")
    };
    let body = json!({
        "status": word,
        "sessions": sessions,
        "tasks": tasks,
        "batches": server.batches().count(),
        "gates": gates,
        "problems": problems,
    });
    json(status, &body)
}

/// What the predecessor answered, for probes that were written for it.
fn legacy_health(server: &Server) -> HttpResponse {
    let body = legacy::Health::new(
        server.connections.session_count(),
        server.tasks().config().sessions_limit,
        server.started_at.elapsed().as_secs_f64(),
        env!("CARGO_PKG_VERSION"),
    );
    json(StatusCode::OK, &json!(body))
}

fn metrics_page(server: &Server) -> HttpResponse {
    let metrics = &server.tasks().metrics;
    let waiting = server.connections.services.sessions.waiting_count();
    metrics.sessions.set_count(server.connections.session_count(), waiting);
    metrics.tasks.set_running(server.tasks().registry.count());
    metrics.batches.set_running(server.batches().count(), &server.batches().gates.summaries());
    let body = metrics.text();
    let response = text(StatusCode::OK, &body);
    with(response, CONTENT_TYPE, metrics::CONTENT_TYPE)
}
