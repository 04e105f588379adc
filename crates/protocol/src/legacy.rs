//! What only clients of the predecessor use. Nothing newer depends on it: with the last of those clients this file can be
//! deleted, and each place that names it.
//!
//! | kept | source in the predecessor's contract |
//! |---|---|
//! | the path `/ws` beside `/ws/mcp` | its documented address |
//! | `hook_status`, and what it is answered | it had hooks; clients ask whether they are on |
//! | a JSON `pong` | the answer to its JSON `ping`, which this server does not send |
//! | `execute` with parameters that no server knows (`path`, `model`, `temperature`, `session_id`), and with an `id` | its clients send them; it ignored them |
//! | the refusal over the session limit as an error without an id | its order: upgrade, error, close code 1008 |
//! | the body of `GET /health` | its health probe |
//!
//! Members of newer messages that are there for its clients only: `exit_code` and `error` of
//! [`ProcessStatus`](crate::notification::ProcessStatus), `total_chunks` of
//! [`ProcessOutput`](crate::notification::ProcessOutput), `execution_time` of
//! [`ProcessCompleted`](crate::notification::ProcessCompleted). Its environment variables are read by the supervisor's
//! configuration.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{ErrorCode, ErrorObject};

/// The predecessor's path for an upgrade.
pub const WEBSOCKET_PATH: &str = "/ws";

/// The predecessor's methods that have no use here.
pub const METHODS: [&str; 2] = ["hook_status", "pong"];

/// The result of one of [`METHODS`]; `None` for every other method.
#[must_use]
pub fn result_of(method: &str) -> Option<Value> {
    match method {
        "hook_status" => Some(json!({"enabled": false, "hooks": []})),
        "pong" => Some(json!({})),
        _ => None,
    }
}

/// The body of `GET /health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Sessions that are connected.
    pub active_sessions: usize,
    /// Most sessions at once.
    pub max_sessions: usize,
    /// Always `cc-executor-websocket`.
    pub service: String,
    /// Always `healthy`.
    pub status: String,
    /// Since the start of the supervisor.
    pub uptime_seconds: f64,
    /// Version of the server.
    pub version: String,
}

impl Health {
    /// The body with these values.
    #[must_use]
    pub fn new(
        active_sessions: usize,
        max_sessions: usize,
        uptime_seconds: f64,
        version: &str,
    ) -> Self {
        Self {
            active_sessions,
            max_sessions,
            service: "cc-executor-websocket".to_owned(),
            status: "healthy".to_owned(),
            uptime_seconds,
            version: version.to_owned(),
        }
    }
}

/// The message for a connection over the session limit. It answers no request, so it has no id.
#[must_use]
pub fn session_limit_message(limit: usize) -> Value {
    let error = ErrorObject::new(ErrorCode::SessionLimit, "Session limit exceeded");
    json!({"jsonrpc": crate::envelope::VERSION, "error": error.with("limit", limit)})
}

/// A parameter of `execute` that is accepted in every form and ignored.
pub(crate) const IGNORED_PARAM: &str = "id";

/// The parameters of the predecessor's `execute`.
const EXECUTE_PARAMS: [&str; 3] = ["command", "timeout", IGNORED_PARAM];

/// Removes and returns the unknown parameters of an `execute` that has the predecessor's form: `command`, and none of
/// the `known` parameters that it did not have. `None` for any other form, in which an unknown parameter is an error.
pub(crate) fn take_unknown(params: &mut Map<String, Value>, known: &[&str]) -> Option<Vec<String>> {
    let is_its_own = |name: &String| EXECUTE_PARAMS.contains(&name.as_str());
    let is_newer = |name: &String| known.contains(&name.as_str()) && !is_its_own(name);
    if !params.contains_key("command") || params.keys().any(is_newer) {
        return None;
    }
    let unknown = params.keys().filter(|name| !is_its_own(name)).cloned().collect();
    params.retain(|name, _| is_its_own(name));
    Some(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_its_methods_has_a_result_and_is_known_to_the_server() {
        for method in METHODS {
            assert!(result_of(method).is_some(), "{method}");
            assert!(crate::METHODS.contains(&method), "{method}");
        }
        assert_eq!(result_of("ping"), None);
    }

    #[test]
    fn its_probe_and_its_refusal_have_the_bytes_that_its_clients_know() {
        let health = Health::new(1, 100, 2.5, "0.1.0");
        assert_eq!(
            serde_json::to_string(&health).unwrap(),
            r#"{"active_sessions":1,"max_sessions":100,"service":"cc-executor-websocket","status":"healthy","uptime_seconds":2.5,"version":"0.1.0"}"#
        );
        assert_eq!(
            session_limit_message(100).to_string(),
            r#"{"error":{"code":-32003,"data":{"kind":"session_limit","limit":100,"retryable":true},"message":"Session limit exceeded"},"jsonrpc":"2.0"}"#
        );
    }
}
