//! Responses as JSON texts that fit into a message.
//!
//! A client can make an answer long: by its id, which comes back, or by names that an error repeats. Such an answer is
//! replaced by an error. Pure.

use cc_protocol::{
    CallError, SERVER_MESSAGE_BYTES_LIMIT,
    envelope::{Id, Response},
};

use crate::config::limits;

/// The answers to the calls of one message. However many there are and however long, no more is kept than a message
/// can hold.
#[derive(Debug)]
pub(super) struct Answers {
    is_batch: bool,
    /// Each with the id of the error that may replace it.
    answers: Vec<(String, Id)>,
    bytes: usize,
    /// All together are too long: those that are not short are replaced.
    is_over: bool,
}

impl Answers {
    #[must_use]
    pub(super) fn new(is_batch: bool) -> Self {
        Self { is_batch, answers: Vec::new(), bytes: 0, is_over: false }
    }

    pub(super) fn push(&mut self, response: Response) {
        let mut text = to_text(&response);
        let id = short(response.id);
        if self.is_over {
            shorten(&mut text, &id);
        }
        self.bytes += text.len();
        self.answers.push((text, id));
        if !self.is_over && self.bytes + self.frame_bytes() > SERVER_MESSAGE_BYTES_LIMIT {
            self.is_over = true;
            self.answers.iter_mut().for_each(|(text, id)| shorten(text, id));
        }
    }

    /// Brackets and commas.
    fn frame_bytes(&self) -> usize {
        if self.is_batch { self.answers.len() + 1 } else { 0 }
    }

    /// The text that answers the message; `None` where it had only notifications.
    #[must_use]
    pub(super) fn into_text(self) -> Option<String> {
        let mut texts = self.answers.into_iter().map(|(text, _)| text);
        if !self.is_batch {
            return texts.next();
        }
        let mut all = String::with_capacity(self.bytes + 2);
        all.push('[');
        all.push_str(&texts.next()?);
        for text in texts {
            all.push(',');
            all.push_str(&text);
        }
        all.push(']');
        Some(all)
    }
}

/// Replaces an answer that is not short.
fn shorten(text: &mut String, id: &Id) {
    if text.len() > limits::BATCH_ANSWER_BYTES {
        *text = to_text(&Response::error(id.clone(), CallError::AnswerTooLong.into()));
    }
}

fn short(id: Id) -> Id {
    match id {
        Id::Text(text) if text.len() > limits::BATCH_ANSWER_BYTES / 4 => Id::Null,
        // Numbers are kept as they were written, but only as far as they fit a machine number.
        id @ (Id::Null | Id::Number(_) | Id::Text(_)) => id,
    }
}

fn to_text(value: &impl serde::Serialize) -> String {
    // All keys are strings; a failure here is excluded by the types.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn batch(responses: impl IntoIterator<Item = Response>) -> String {
        let mut answers = Answers::new(true);
        responses.into_iter().for_each(|response| answers.push(response));
        answers.into_text().unwrap()
    }

    #[test]
    fn no_answer_is_over_the_limit_however_long_the_id() {
        let id = Id::Text("x".repeat(SERVER_MESSAGE_BYTES_LIMIT));
        let mut answers = Answers::new(false);
        answers.push(Response::result(id, json!({})));
        let value: Value = serde_json::from_str(&answers.into_text().unwrap()).unwrap();
        assert_eq!(
            (value["id"].clone(), value["error"]["code"].clone()),
            (Value::Null, json!(-32600))
        );
    }

    #[test]
    fn an_answer_that_just_fits_is_sent_as_it_is() {
        for is_batch in [false, true] {
            let bytes = |data_bytes: usize| {
                let mut answers = Answers::new(is_batch);
                answers.push(Response::result(Id::Null, json!("x".repeat(data_bytes))));
                answers.into_text().unwrap().len()
            };
            let fitting = SERVER_MESSAGE_BYTES_LIMIT - bytes(0);
            assert_eq!(bytes(fitting), SERVER_MESSAGE_BYTES_LIMIT, "{is_batch}");
            assert!(bytes(fitting + 1) < 1000, "{is_batch}");
        }
    }

    #[test]
    fn the_longest_batch_of_the_longest_answers_fits_and_answers_every_request() {
        let long = |number: usize| {
            Response::result(Id::Text(format!("{number}-{}", "\u{1}".repeat(5000))), json!("x"))
        };
        let text = batch((0..limits::BATCH_CALLS).map(long));
        assert!(text.len() <= SERVER_MESSAGE_BYTES_LIMIT);
        let values: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(values.len(), limits::BATCH_CALLS);
    }

    #[test]
    fn answers_that_are_too_long_together_are_not_kept_until_all_are_there() {
        let mut answers = Answers::new(true);
        for number in 0..limits::BATCH_CALLS {
            let id = Id::Number(number.into());
            answers.push(Response::result(id, json!("x".repeat(900 * 1024))));
            let kept: usize = answers.answers.iter().map(|(text, _)| text.len()).sum();
            assert!(kept <= SERVER_MESSAGE_BYTES_LIMIT);
        }
        let values: Vec<Value> = serde_json::from_str(&answers.into_text().unwrap()).unwrap();
        assert_eq!(values.last().unwrap()["id"], limits::BATCH_CALLS - 1);
    }
}
