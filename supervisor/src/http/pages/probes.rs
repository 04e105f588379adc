//! `/livez`, `/readyz`, `/healthz`: what is asked every few seconds, by several at once. A probe reads what is known
//! already; see [`crate::ops::vitals::checkup`].
//!
//! | page | 200 | 503 |
//! |---|---|---|
//! | `/livez` | the event loop turns | it does not: restart it |
//! | `/readyz` | new tasks can be started, perhaps degraded | they cannot: send clients elsewhere |
//! | `/healthz` | it serves, whatever is wrong | it is stopping |
//!
//! With `?verbose` each check has a line, as the pages of these names have in Kubernetes.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{
    http::{
        pages::request::PageRequest,
        response::{HttpResponse, json, text},
        server::Server,
    },
    ops::health::{Condition, Severity},
};

/// One line of `?verbose`.
struct Check {
    name: &'static str,
    /// What is wrong, and how bad it is.
    problem: Option<(Severity, &'static str)>,
}

/// The answer in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Degraded,
    NotReady,
    Draining,
    Stopping,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::NotReady => "not ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

pub(super) fn livez(server: &Server, request: &PageRequest) -> HttpResponse {
    let check = event_loop(server);
    let (code, word) = match check.problem {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "stuck"),
    };
    if is_verbose(request) {
        return verbose(code, "livez", &[check], word);
    }
    json(code, &json!({"status": word}))
}

pub(super) async fn readyz(server: &Server, request: &PageRequest) -> HttpResponse {
    let (status, checks) = examine(server).await;
    // Degraded is no reason to send clients elsewhere: what works keeps working.
    let code = match status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::NotReady | Status::Draining | Status::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    page(server, request, "readyz", code, status, &checks)
}

pub(super) async fn healthz(server: &Server, request: &PageRequest) -> HttpResponse {
    let (status, checks) = examine(server).await;
    let (code, status) = match status {
        // Whether it is ready is asked elsewhere.
        Status::NotReady => (StatusCode::OK, Status::Degraded),
        Status::Ok | Status::Degraded | Status::Draining => (StatusCode::OK, status),
        Status::Stopping => (StatusCode::SERVICE_UNAVAILABLE, status),
    };
    page(server, request, "healthz", code, status, &checks)
}

async fn examine(server: &Server) -> (Status, Vec<Check>) {
    let tasks = server.tasks();
    tasks.vitals.checkup.refresh().await;
    let mut checks = vec![event_loop(server)];
    checks.extend(Condition::ALL.into_iter().map(|condition| Check {
        name: condition.name(),
        problem:
            tasks.health.stands(condition).then(|| (condition.severity(), condition.meaning())),
    }));
    let worst = checks.iter().filter_map(|check| check.problem).map(|(severity, _)| severity).max();
    let status = if tasks.stage.is_stopping() {
        Status::Stopping
    } else if tasks.health.stands(Condition::Draining) {
        Status::Draining
    } else {
        match worst {
            None => Status::Ok,
            Some(Severity::Degraded) => Status::Degraded,
            Some(Severity::NotReady) => Status::NotReady,
        }
    };
    (status, checks)
}

fn event_loop(server: &Server) -> Check {
    let problem =
        (Severity::NotReady, "the event loop has not served its timer lately: restart it");
    Check {
        name: "event_loop",
        problem: (!server.tasks().vitals.pulse.is_beating()).then_some(problem),
    }
}

fn is_verbose(request: &PageRequest) -> bool {
    let query = request.query.as_deref().unwrap_or_default();
    query.split('&').any(|word| word == "verbose" || word.starts_with("verbose="))
}

fn page(
    server: &Server,
    request: &PageRequest,
    name: &str,
    code: StatusCode,
    status: Status,
    checks: &[Check],
) -> HttpResponse {
    if is_verbose(request) {
        return verbose(code, name, checks, status.word());
    }
    let problems: Vec<&str> =
        checks.iter().filter_map(|check| check.problem).map(|(_, meaning)| meaning).collect();
    let mut body = json!({
        "status": status.word(),
        "sessions": server.connections.session_count(),
        "tasks": server.tasks().registry.count(),
        "batches": server.batches().count(),
        "problems": problems,
    });
    if request.is_client {
        body["gates"] = gates(server);
    }
    json(code, &body)
}

fn verbose(code: StatusCode, name: &str, checks: &[Check], word: &str) -> HttpResponse {
    let line = |check: &Check| match check.problem {
        None => format!("[+]{} ok\n", check.name),
        Some((Severity::Degraded, meaning)) => format!("[!]{} degraded: {meaning}\n", check.name),
        Some((Severity::NotReady, meaning)) => format!("[-]{} failed: {meaning}\n", check.name),
    };
    let outcome = if code == StatusCode::OK { "passed" } else { "failed" };
    let mut lines: String = checks.iter().map(line).collect();
    lines.push_str(&format!("{name} check {outcome}: {word}"));
    text(code, &lines)
}

/// What a limit has closed, in the words of the CLI: for clients.
fn gates(server: &Server) -> Value {
    let gates = server.batches().gates.facts();
    let gates = gates.into_iter().map(|gate| {
        json!({
            "credential": gate.credential.to_string(),
            "model": gate.scope,
            "closed_until_ms": gate.closed_until_ms,
            "reason": gate.why,
            "waiting": gate.waiting,
            "running": gate.running,
        })
    });
    gates.collect()
}
