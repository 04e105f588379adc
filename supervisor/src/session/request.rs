//! A client's text message becomes calls, within bounds.
//!
//! Memory for parsed JSON grows with the number of values, not with the length of the text: 16 MiB of `[1,1,1,…]`
//! would take gigabytes. So the values are counted first. Pure.

use cc_protocol::{
    CallError,
    envelope::{self, Id, Incoming, Response},
};

use crate::config::limits;

/// Deeper nesting is a parse error (serde_json's recursion limit).
const PARSER_DEPTH_LIMIT: usize = 128;

/// # Errors
/// The answer to a message that is no JSON or has too many values or calls.
pub(super) fn read(text: &str, values: usize) -> Result<Incoming, Response> {
    let limit = limits::MESSAGE_VALUES;
    if values > limit {
        return Err(too_many("values in a message", limit));
    }
    match envelope::parse(text)? {
        Incoming::Batch(calls) if calls.len() > limits::BATCH_CALLS => {
            Err(too_many("calls in a batch", limits::BATCH_CALLS))
        }
        incoming @ (Incoming::Batch(_) | Incoming::Single(_)) => Ok(incoming),
    }
}

fn too_many(what: &'static str, limit: usize) -> Response {
    Response::error(Id::Null, CallError::TooMany { what, limit }.into())
}

/// How many values the text has at most, as far as the limit and one beyond it. Few are not counted.
///
/// Every value but the first of a list or object follows a comma, and every list or object has a bracket.
/// What is no JSON is counted somehow; the parser refuses it.
#[must_use]
pub(super) fn count_values(text: &str) -> usize {
    // A value takes at least a byte, and what separates it from the next one another.
    if text.len() / 2 < limits::FREE_VALUES {
        0
    } else {
        count(limits::MESSAGE_VALUES, text.as_bytes())
    }
}

fn count(limit: usize, mut bytes: &[u8]) -> usize {
    let mut values = 1;
    let mut depth = 0_usize;
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        match byte {
            b'"' => bytes = after_string(rest),
            b',' => values += 1,
            b'[' | b'{' => {
                values += 1;
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // The parser will not come further than this, and its error says more.
        if depth > PARSER_DEPTH_LIMIT {
            return values;
        }
        if values > limit {
            break;
        }
    }
    values
}

/// What follows the closing quote.
fn after_string(mut bytes: &[u8]) -> &[u8] {
    while let Some(index) = memchr::memchr2(b'"', b'\\', bytes) {
        if bytes[index] == b'"' {
            return &bytes[index + 1..];
        }
        bytes = bytes.get(index + 2..).unwrap_or_default();
    }
    &[]
}

/// A message is read without a panic, and never with more values than are counted.
#[cfg(fuzzing)]
pub fn fuzz_message(text: &str) -> Vec<cc_protocol::envelope::Call> {
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        assert!(values_of(&value) <= count(usize::MAX, text.as_bytes()), "values are missed");
    }
    match read(text, count_values(text)) {
        Ok(Incoming::Single(call)) => call.into_iter().collect(),
        Ok(Incoming::Batch(calls)) => calls.into_iter().flatten().collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(fuzzing)]
fn values_of(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    1 + match value {
        Value::Array(elements) => elements.iter().map(values_of).sum(),
        Value::Object(members) => members.values().map(values_of).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn values(value: &Value) -> usize {
        1 + match value {
            Value::Array(elements) => elements.iter().map(values).sum(),
            Value::Object(members) => members.values().map(values).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }

    fn is_refused_for_its_number(text: &str) -> bool {
        read(text, count_values(text)).is_err_and(|response| {
            serde_json::to_value(response).unwrap()["error"]["data"]["limit"].is_u64()
        })
    }

    #[test]
    fn a_message_of_very_many_values_is_refused_before_it_is_parsed() {
        let ones = vec!["1"; limits::MESSAGE_VALUES + 1].join(",");
        assert!(is_refused_for_its_number(&format!("[{ones}]")));
        let call =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":[{ones}]}}}}"#);
        assert!(is_refused_for_its_number(&call));
        assert!(is_refused_for_its_number(&"[]".repeat(limits::MESSAGE_VALUES + 1)));
    }

    #[test]
    fn nesting_without_end_is_left_to_the_parser_which_names_it() {
        let text = "[".repeat(10 * limits::MESSAGE_VALUES);
        let response = read(&text, count_values(&text)).unwrap_err();
        assert_eq!(serde_json::to_value(response).unwrap()["error"]["code"], -32700);
    }

    #[test]
    fn a_long_text_is_no_long_message_whatever_is_in_it() {
        let prompt = "[,{\"\\".repeat(limits::MESSAGE_VALUES);
        let call = json!({"jsonrpc": "2.0", "method": "execute", "params": {"prompt": prompt}});
        let call = call.to_string();
        assert!(matches!(read(&call, count_values(&call)), Ok(Incoming::Single(Ok(_)))));
    }

    #[test]
    fn a_batch_has_a_limit_of_its_own() {
        let batch = |calls| format!("[{}]", vec!["1"; calls].join(","));
        assert!(matches!(read(&batch(limits::BATCH_CALLS), 0), Ok(Incoming::Batch(_))));
        assert!(is_refused_for_its_number(&batch(limits::BATCH_CALLS + 1)));
    }

    proptest! {
        #[test]
        fn no_message_with_too_many_values_passes(
            texts in proptest::collection::vec("[\\\\\",\\[{}:a]{0,6}", 0..8),
            numbers in proptest::collection::vec(any::<u8>(), 0..8),
            limit in 1usize..40,
        ) {
            let value = json!([texts, {"a": numbers, "b": texts, "c": {}}, [], 1]);
            if values(&value) > limit {
                prop_assert!(count(limit, value.to_string().as_bytes()) > limit);
            }
        }

        #[test]
        fn arbitrary_bytes_are_counted_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            count(9, &bytes);
        }
    }
}
