//! Pages for operators and their probes: health, readiness, metrics. They need no token, so nothing that is on them says
//! who uses this supervisor for what.

mod metrics;
mod probes;
mod request;

use cc_protocol::legacy;
use hyper::{Method, StatusCode, header::ALLOW};
use serde_json::json;

pub(super) use self::request::PageRequest;
use crate::http::{
    response::{HttpResponse, json, text, with},
    server::Server,
};

/// The page at this path.
pub(super) async fn answer(server: &Server, request: PageRequest) -> HttpResponse {
    let is_readable = matches!(request.method, Method::GET | Method::HEAD);
    match request.path.as_str() {
        "/livez" | "/readyz" | "/healthz" | "/health" | "/metrics" if !is_readable => {
            with(text(StatusCode::METHOD_NOT_ALLOWED, "only GET"), ALLOW, "GET, HEAD")
        }
        "/livez" => probes::livez(server, &request),
        "/readyz" => probes::readyz(server, &request).await,
        "/healthz" => probes::healthz(server, &request).await,
        "/health" => legacy_health(server),
        "/metrics" => metrics::page(server, &request).await,
        _ => text(StatusCode::NOT_FOUND, "nothing here: connect a WebSocket to /ws/mcp"),
    }
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
