//! Plain HTTP on the one port: health, metrics, and the upgrade to a WebSocket (RFC 6455 section 4.2).
//!
//! Every request passes [`crate::http::admission`] first. After an upgrade the socket belongs to
//! [`crate::connection`]; this module never sees a message.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use cc_protocol::{WEBSOCKET_PATHS, legacy};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
        SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
        UPGRADE, WWW_AUTHENTICATE,
    },
    server::conn::http1,
    service::service_fn,
    upgrade::{Parts, Upgraded},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    batch::Batches,
    config::limits,
    connection::{self, ConnectionContext},
    http::{
        admission::{AdmissionRules, Refusal},
        peer::Peer,
    },
    ops::metrics,
    task::context::TaskContext,
};

type HttpResponse = Response<Full<Bytes>>;

/// What requests are answered with.
#[derive(Debug)]
pub struct Server {
    /// Who may connect.
    pub rules: AdmissionRules,
    pub started_at: Instant,
    pub connections: Arc<ConnectionContext>,
}

impl Server {
    pub(super) fn tasks(&self) -> &TaskContext {
        self.connections.tasks()
    }

    fn batches(&self) -> &Batches {
        &self.connections.services.batches
    }
}

/// Serves one TCP connection until it ends or is upgraded. `permit` is its place among the connections; a
/// session that comes of it keeps the place.
pub async fn serve(
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: Arc<OwnedSemaphorePermit>,
) {
    let Ok(own) = stream.local_addr() else { return };
    let peer = Peer::look_up(peer, own).await;
    let context = Arc::new(Context { server: Arc::clone(&server), peer, permit });
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(context.answer(request)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.tasks().config.handshake_timeout)
        .max_buf_size(limits::REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        outcome = connection => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "HTTP connection");
            }
        }
        () = server.tasks().stage.stopping() => {}
    }
}

/// What an HTTP connection knows.
struct Context {
    server: Arc<Server>,
    peer: Peer,
    permit: Arc<OwnedSemaphorePermit>,
}

impl Context {
    fn answer(&self, request: Request<Incoming>) -> HttpResponse {
        if let Err(refusal) = self.server.rules.check_request(self.peer, request.headers()) {
            return refused(refusal);
        }
        let path = request.uri().path();
        if WEBSOCKET_PATHS.contains(&path) {
            return self.upgrade(request);
        }
        let is_readable = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/livez" | "/readyz" | "/healthz" | "/health" | "/metrics" if !is_readable => {
                with(text(StatusCode::METHOD_NOT_ALLOWED, "only GET"), ALLOW, "GET, HEAD")
            }
            "/livez" => json(StatusCode::OK, &json!({"status": "ok"})),
            "/readyz" | "/healthz" => self.readiness(),
            "/health" => self.legacy_health(),
            "/metrics" => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "nothing here: connect a WebSocket to /ws/mcp"),
        }
    }

    fn readiness(&self) -> HttpResponse {
        let sessions = self.server.connections.session_count();
        let tasks = self.server.tasks().registry.count();
        let problems = self.server.tasks().health.texts();
        let gates = self.server.batches().gates.facts();
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
        // Degraded is no reason to send clients elsewhere: what works goes on working.
        let (status, word) = match (self.server.tasks().stage.is_stopping(), problems.is_empty()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            (false, false) => (StatusCode::OK, "degraded"),
            (false, true) => (StatusCode::OK, "ok"),
        };
        let body = json!({
            "status": word,
            "sessions": sessions,
            "tasks": tasks,
            "batches": self.server.batches().count(),
            "gates": gates,
            "problems": problems,
        });
        json(status, &body)
    }

    /// What the predecessor answered, for probes that were written for it.
    fn legacy_health(&self) -> HttpResponse {
        let body = legacy::Health::new(
            self.server.connections.session_count(),
            self.server.tasks().config.sessions_limit,
            self.server.started_at.elapsed().as_secs_f64(),
            env!("CARGO_PKG_VERSION"),
        );
        json(StatusCode::OK, &json!(body))
    }

    fn metrics(&self) -> HttpResponse {
        let body = self.server.tasks().metrics.text(&metrics::Now {
            sessions: self.server.connections.session_count(),
            tasks: self.server.tasks().registry.count(),
            batches: self.server.batches().count(),
            gates: self.server.batches().gates.summaries(),
        });
        let mut answer = text(StatusCode::OK, &body);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        answer
    }

    fn upgrade(&self, request: Request<Incoming>) -> HttpResponse {
        let subprotocol = match self.server.rules.check_session(self.peer, request.headers()) {
            Ok(subprotocol) => subprotocol,
            Err(refusal) => return refused(refusal),
        };
        if self.server.tasks().stage.is_stopping() {
            let answer = text(StatusCode::SERVICE_UNAVAILABLE, "the supervisor is stopping");
            return with(answer, RETRY_AFTER, "5");
        }
        let key = match handshake_key(&request) {
            Ok(key) => key,
            Err(answer) => return *answer,
        };
        let connections = Arc::clone(&self.server.connections);
        let permit = Arc::clone(&self.permit);
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            match upgrade.await.map(Upgraded::downcast::<TokioIo<TcpStream>>) {
                Ok(Ok(Parts { io, read_buf, .. })) => {
                    let stream = io.into_inner();
                    // A tokio task of its own, which keeps nothing of what came before.
                    tokio::spawn(connection::serve(connections, stream, read_buf, permit));
                }
                Ok(Err(_)) => tracing::error!("an upgraded connection was no TCP stream"),
                Err(error) => tracing::debug!(%error, "upgrade"),
            }
        });
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
            answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(subprotocol) = subprotocol {
            answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        with(with(answer, CONNECTION, "Upgrade"), UPGRADE, "websocket")
    }
}

/// Checks a client's half of the handshake and returns its key.
fn handshake_key(request: &Request<Incoming>) -> Result<String, Box<HttpResponse>> {
    check_handshake(request.method(), request.headers()).map_err(|(status, problem)| {
        let answer = text(status, problem);
        Box::new(match status {
            StatusCode::METHOD_NOT_ALLOWED => with(answer, ALLOW, "GET"),
            StatusCode::UPGRADE_REQUIRED => {
                let answer = with(answer, UPGRADE, "websocket");
                with(with(answer, CONNECTION, "Upgrade"), SEC_WEBSOCKET_VERSION, "13")
            }
            _ => answer,
        })
    })
}

fn check_handshake(
    method: &Method,
    headers: &HeaderMap,
) -> Result<String, (StatusCode, &'static str)> {
    if *method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET"));
    }
    if !has_word(headers, UPGRADE, "websocket") || !has_word(headers, CONNECTION, "upgrade") {
        return Err((StatusCode::UPGRADE_REQUIRED, "only WebSocket connections are served here"));
    }
    if !has_word(headers, SEC_WEBSOCKET_VERSION, "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "only version 13 of WebSocket is spoken"));
    }
    headers
        .get(SEC_WEBSOCKET_KEY)
        .and_then(|key| key.to_str().ok())
        .filter(|key| is_key(key))
        .map(str::to_owned)
        .ok_or((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// 16 bytes in base64 are 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(is_base64))
}

fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(word))
}

fn refused(refusal: Refusal) -> HttpResponse {
    tracing::warn!(%refusal, "request refused");
    let answer = text(refusal.status(), &refusal.to_string());
    match refusal {
        Refusal::Token => with(answer, WWW_AUTHENTICATE, "Bearer"),
        Refusal::ForeignUser | Refusal::UnknownUser | Refusal::Host | Refusal::Origin => answer,
    }
}

fn text(status: StatusCode, line: &str) -> HttpResponse {
    let newline = if line.ends_with('\n') { "" } else { "\n" };
    let mut answer = Response::new(Full::from(format!("{line}{newline}")));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn json(status: StatusCode, body: &Value) -> HttpResponse {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, "application/json")
}

fn with(mut answer: HttpResponse, name: HeaderName, value: &'static str) -> HttpResponse {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn status_without(changed: &str, value: Option<&str>) -> Result<(), u16> {
        let mut headers = HeaderMap::new();
        for (name, good) in GOOD {
            let value = if name == changed { value } else { Some(good) };
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        check_handshake(&Method::GET, &headers).map(drop).map_err(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_a_complete_handshake_of_version_13_is_upgraded() {
        assert_eq!(status_without("", None), Ok(()));
        assert_eq!(status_without("upgrade", None), Err(426));
        assert_eq!(status_without("upgrade", Some("h2c")), Err(426));
        assert_eq!(status_without("connection", Some("keep-alive")), Err(426));
        assert_eq!(status_without("sec-websocket-version", None), Err(426));
        assert_eq!(status_without("sec-websocket-version", Some("8")), Err(426));
        for key in [None, Some(""), Some("short"), Some("dGhlIHNhbXBsZSBub25jZQ=!")] {
            assert_eq!(status_without("sec-websocket-key", key), Err(400), "{key:?}");
        }
        assert!(check_handshake(&Method::POST, &HeaderMap::new()).is_err());
    }
}
