//! The JSON-RPC 2.0 envelope (<https://www.jsonrpc.org/specification>).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{ErrorCode, ErrorObject};

/// The `jsonrpc` member of every message.
pub const VERSION: &str = "2.0";

/// A request's id, which its response repeats. Never an object, array or boolean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// Discouraged by the specification, but legal.
    Null,
    /// Any JSON number, as it came.
    Number(serde_json::Number),
    /// Any JSON string.
    Text(String),
}

/// A call: a request when it has an id, else a notification, which gets no answer of any kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Repeated in the response.
    pub id: Option<Id>,
    /// Name of the method.
    pub method: String,
    /// Named parameters; empty where there were none.
    pub params: Map<String, Value>,
}

/// What a client's text message holds.
#[derive(Debug)]
pub enum Incoming {
    /// One call, or what is wrong with it.
    Single(Result<Call, Response>),
    /// A batch array with at least one element, answered by one array of responses.
    Batch(Vec<Result<Call, Response>>),
}

/// Reads a client's text message. What is no call comes back as the response to send.
///
/// # Errors
/// The response for a text that is no JSON (nesting deeper than 128 counts as that).
pub fn parse(text: &str) -> Result<Incoming, Response> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Response::error(
            Id::Null,
            ErrorObject::new(ErrorCode::ParseError, format!("Parse error: {error}")),
        )
    })?;
    match value {
        Value::Array(elements) if elements.is_empty() => {
            Ok(Incoming::Single(Err(invalid(Id::Null, "a batch must have at least one call"))))
        }
        Value::Array(elements) => {
            Ok(Incoming::Batch(elements.into_iter().map(parse_call).collect()))
        }
        single @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)) => Ok(Incoming::Single(parse_call(single))),
    }
}

fn parse_call(value: Value) -> Result<Call, Response> {
    let Value::Object(mut object) = value else {
        return Err(invalid(Id::Null, "a call must be an object"));
    };
    let id = match object.remove("id") {
        None => None,
        Some(Value::Null) => Some(Id::Null),
        Some(Value::Number(number)) => Some(Id::Number(number)),
        Some(Value::String(text)) => Some(Id::Text(text)),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(invalid(Id::Null, "id must be a string, a number or null"));
        }
    };
    let answer_id = || id.clone().unwrap_or(Id::Null);
    if object.get("jsonrpc").and_then(Value::as_str) != Some(VERSION) {
        return Err(invalid(answer_id(), "jsonrpc must be \"2.0\""));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(invalid(answer_id(), "method must be a string"));
    };
    let params = match object.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(Value::Array(list)) if list.is_empty() => Map::new(),
        Some(Value::Array(_)) => {
            let error = ErrorObject::new(
                ErrorCode::InvalidParams,
                "params must be named (an object), not positional (an array)",
            );
            return Err(Response::error(answer_id(), error));
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            return Err(invalid(answer_id(), "params must be an object"));
        }
    };
    Ok(Call { id, method, params })
}

fn invalid(id: Id, what: &str) -> Response {
    Response::error(
        id,
        ErrorObject::new(ErrorCode::InvalidRequest, format!("Invalid Request: {what}")),
    )
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Always `"2.0"`.
    pub jsonrpc: String,
    /// Result or error: exactly one of the two.
    #[serde(flatten)]
    pub body: ResponseBody,
    /// From the request; null where it could not be read.
    pub id: Id,
}

/// Result or error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseBody {
    /// The method's result.
    Result(Value),
    /// Why there is none.
    Error(ErrorObject),
}

impl Response {
    /// A successful answer.
    #[must_use]
    pub fn result(id: Id, result: Value) -> Self {
        Self { jsonrpc: VERSION.to_owned(), body: ResponseBody::Result(result), id }
    }

    /// The response that refuses a call.
    #[must_use]
    pub fn error(id: Id, error: ErrorObject) -> Self {
        Self { jsonrpc: VERSION.to_owned(), body: ResponseBody::Error(error), id }
    }
}

/// A call to be sent by a client.
#[derive(Clone, Debug, Serialize)]
pub struct Request<'a> {
    /// Always `"2.0"`.
    pub jsonrpc: &'static str,
    /// Name of the method.
    pub method: &'a str,
    /// An object: parameters have names.
    pub params: Value,
    /// Repeated in the response; a notification has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
}

impl<'a> Request<'a> {
    /// A request with a numeric id.
    #[must_use]
    pub fn new(id: u64, method: &'a str, params: Value) -> Self {
        Self { jsonrpc: VERSION, method, params, id: Some(Id::Number(id.into())) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error_of(text: &str) -> (i64, Value) {
        let response = match parse(text) {
            Err(response) => response,
            Ok(Incoming::Single(Err(response))) => response,
            Ok(other) => panic!("{text} was accepted: {other:?}"),
        };
        let value = serde_json::to_value(response).unwrap();
        (value["error"]["code"].as_i64().unwrap(), value["id"].clone())
    }

    #[test]
    fn the_examples_of_the_specification_get_its_errors() {
        assert_eq!(
            error_of(r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#).0,
            -32700
        );
        assert_eq!(
            error_of(r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#),
            (-32600, Value::Null)
        );
        assert_eq!(error_of("[]").0, -32600);
        assert_eq!(error_of("1").0, -32600);
        let Ok(Incoming::Batch(calls)) = parse("[1,2,3]") else { panic!("no batch") };
        assert_eq!(calls.iter().filter(|call| call.is_err()).count(), 3);
    }

    #[test]
    fn an_unreadable_call_is_answered_with_its_id_where_that_is_readable() {
        assert_eq!(error_of(r#"{"jsonrpc":"1.0","method":"x","id":7}"#), (-32600, json!(7)));
        assert_eq!(error_of(r#"{"jsonrpc":"2.0","method":"x","id":{}}"#), (-32600, Value::Null));
        assert_eq!(
            error_of(r#"{"jsonrpc":"2.0","method":"x","params":[1],"id":"a"}"#),
            (-32602, json!("a"))
        );
    }

    #[test]
    fn nesting_without_end_is_a_parse_error_and_no_stack_overflow() {
        assert_eq!(error_of(&"[".repeat(1_000_000)).0, -32700);
    }

    #[test]
    fn an_id_comes_back_as_it_was_sent() {
        for id in ["1", "1.5", "\"x\"", "null", "12345678901234567890"] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"m","id":{id}}}"#);
            let Ok(Incoming::Single(Ok(call))) = parse(&text) else { panic!("{text}") };
            assert_eq!(serde_json::to_string(&call.id.unwrap()).unwrap(), id);
        }
    }
}
