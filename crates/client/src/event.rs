//! From the text of a message of the server to its type.

use std::borrow::Cow;

use cc_protocol::{
    envelope::ResponseBody,
    error::ErrorObject,
    notification::{Message, Notification},
};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;

/// Something that the server sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message that answers no request.
    Notification(Box<Received>),
    /// The response to a request whose caller does not wait for it, such as `control`.
    Response(Response),
}

/// A notification, as a type and as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// What it says.
    pub notification: Notification<'static>,
    /// The message as it came; none where it came as a part of a batch.
    text: Option<String>,
}

impl Received {
    /// One that did not come as a message of its own.
    pub(crate) fn unpacked(notification: Notification<'static>) -> Self {
        Self { notification, text: None }
    }

    /// The message: one JSON object, no newline. As it came, or as it would have come alone.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.text {
            Some(text) => Cow::Borrowed(text),
            None => {
                let message = Message::new(self.notification.clone());
                // Strings and numbers can always be written.
                Cow::Owned(serde_json::to_string(&message).unwrap_or_default())
            }
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The request's id; none where the server could not or did not name it.
    pub id: Option<u64>,
    /// Result or error.
    pub outcome: Result<Value, ErrorObject>,
}

/// Just enough of a message to see what kind it is.
#[derive(Deserialize)]
struct Outline {
    method: Option<String>,
    id: Option<Value>,
    #[serde(flatten)]
    outcome: Option<ResponseBody>,
}

/// Reads a text message. `None` is a notification that this version does not know: newer servers may
/// say more than older clients understand.
pub(crate) fn read(text: String) -> Result<Option<Event>, Error> {
    // Nearly every message is a known notification, so that is tried first, on the text itself.
    let problem = match serde_json::from_str::<Message<'_>>(&text) {
        Ok(message) => {
            let notification = message.notification.into_owned();
            return Ok(Some(Event::Notification(Box::new(Received {
                notification,
                text: Some(text),
            }))));
        }
        Err(problem) => problem,
    };
    let outline: Outline =
        serde_json::from_str(&text).map_err(|error| unreadable(&text, &error))?;
    if let Some(method) = outline.method {
        if Notification::METHODS.contains(&method.as_str()) {
            return Err(unreadable(&text, &problem));
        }
        return Ok(None);
    }
    let outcome = match outline.outcome {
        Some(ResponseBody::Result(result)) => Ok(result),
        Some(ResponseBody::Error(error)) => Err(error),
        None => return Err(unreadable(&text, &"neither a notification nor an answer")),
    };
    Ok(Some(Event::Response(Response { id: outline.id.as_ref().and_then(Value::as_u64), outcome })))
}

fn unreadable(text: &str, what: &dyn std::fmt::Display) -> Error {
    const SHOWN_CHARS: usize = 200;
    let beginning: String = text.chars().take(SHOWN_CHARS).collect();
    Error::Protocol(format!("{what}, in {beginning:?}"))
}

/// What is written of a notification is read again as the same one.
#[cfg(fuzzing)]
pub fn fuzz_event(text: String) {
    if let Ok(Some(Event::Notification(received))) = read(text) {
        let alone = Received::unpacked(received.notification.clone());
        let again = read(alone.text().into_owned());
        let Ok(Some(Event::Notification(again))) = again else { panic!("{received:?}: {again:?}") };
        assert_eq!(again.notification, received.notification);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_known_notification_is_typed_and_keeps_its_text() {
        let text = json!({"jsonrpc": "2.0", "method": "process.output", "params": {
            "type": "stdout", "data": "a\nb", "truncated": false, "chunk_index": null,
            "total_chunks": null, "task_id": "t", "seq": 3, "new_field": 1}})
        .to_string();
        let Some(Event::Notification(received)) = read(text.clone()).unwrap() else {
            panic!("no notification")
        };
        assert_eq!(received.text(), text);
        let Notification::Output(output) = received.notification else { panic!("no output") };
        assert_eq!((output.data.as_ref(), output.position.seq), ("a\nb", 3));
    }

    #[test]
    fn an_unknown_notification_is_skipped_and_an_unreadable_known_one_is_not() {
        let unknown = json!({"jsonrpc": "2.0", "method": "fleet.moved", "params": {"to": 1}});
        assert_eq!(read(unknown.to_string()).unwrap(), None);
        let unreadable = json!({"jsonrpc": "2.0", "method": "process.completed", "params": {}});
        assert!(matches!(read(unreadable.to_string()), Err(Error::Protocol(_))));
    }

    #[test]
    fn every_method_that_counts_as_known_is_known() {
        for method in Notification::METHODS {
            let text = json!({"jsonrpc": "2.0", "method": method, "params": null}).to_string();
            let error = serde_json::from_str::<Message<'_>>(&text).unwrap_err().to_string();
            assert!(!error.contains("unknown variant"), "{error}");
        }
    }

    #[test]
    fn answers_carry_their_id_and_errors_may_have_none() {
        let answer = read(json!({"jsonrpc": "2.0", "id": 7, "result": null}).to_string()).unwrap();
        assert_eq!(
            answer,
            Some(Event::Response(Response { id: Some(7), outcome: Ok(Value::Null) }))
        );
        let refusal =
            json!({"jsonrpc": "2.0", "error": {"code": -32003, "message": "Session limit"}});
        let Some(Event::Response(answer)) = read(refusal.to_string()).unwrap() else {
            panic!("no answer")
        };
        assert_eq!((answer.id, answer.outcome.unwrap_err().code), (None, -32003));
    }

    #[test]
    fn what_is_no_message_of_the_contract_is_named() {
        for text in ["", "1", "[]", "{}", "{\"jsonrpc\":\"2.0\",\"id\":1}"] {
            assert!(matches!(read(text.to_owned()), Err(Error::Protocol(_))), "{text}");
        }
    }
}
