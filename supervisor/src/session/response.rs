//! Responses as JSON texts that fit into a message.
//!
//! A client can make an answer long: by its id, which comes back, or by names that an error repeats. Such an answer is
//! replaced by an error. Pure.

use cc_protocol::{
    CallError, SERVER_MESSAGE_BYTES_LIMIT,
    envelope::{Id, Response},
};

use crate::config::limits;

/// The answer to a single request.
#[must_use]
pub(super) fn single(response: &Response) -> String {
    let text = to_text(response);
    if text.len() <= SERVER_MESSAGE_BYTES_LIMIT { text } else { to_text(&too_long(response)) }
}

/// The answer to a batch.
#[must_use]
pub(super) fn batch(responses: &[Response]) -> String {
    let text = to_text(&responses);
    if text.len() <= SERVER_MESSAGE_BYTES_LIMIT {
        return text;
    }
    let shortened: Vec<String> = responses
        .iter()
        .map(|response| (response, to_text(response)))
        .map(|(response, text)| {
            if text.len() <= limits::BATCH_ANSWER_BYTES {
                text
            } else {
                to_text(&too_long(response))
            }
        })
        .collect();
    format!("[{}]", shortened.join(","))
}

fn too_long(response: &Response) -> Response {
    let id = match &response.id {
        Id::Text(text) if text.len() > limits::BATCH_ANSWER_BYTES / 4 => Id::Null,
        // Numbers are kept as they were written, but only as far as they fit a machine number.
        id @ (Id::Null | Id::Number(_) | Id::Text(_)) => id.clone(),
    };
    Response::error(id, CallError::AnswerTooLong.into())
}

fn to_text(value: &impl serde::Serialize) -> String {
    // All keys are strings; a failure here is excluded by the types.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn no_answer_is_over_the_limit_however_long_the_id() {
        let id = Id::Text("x".repeat(SERVER_MESSAGE_BYTES_LIMIT));
        let response = Response::result(id, json!({}));
        let value: Value = serde_json::from_str(&single(&response)).unwrap();
        assert_eq!(
            (value["id"].clone(), value["error"]["code"].clone()),
            (Value::Null, json!(-32600))
        );
    }

    #[test]
    fn the_longest_batch_of_the_longest_answers_fits_and_answers_every_request() {
        let long = |number: usize| {
            Response::result(Id::Text(format!("{number}-{}", "\u{1}".repeat(5000))), json!("x"))
        };
        let responses: Vec<Response> = (0..limits::BATCH_CALLS).map(long).collect();
        let text = batch(&responses);
        assert!(text.len() <= SERVER_MESSAGE_BYTES_LIMIT);
        let values: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(values.len(), limits::BATCH_CALLS);
    }
}
