//! Which of a run's results is the answer.
//!
//! A run has one result for its prompt and one for each notice from the background that the model was given
//! afterwards (`origin.kind`, such as `task-notification`). Such a result may bring the real answer, or say that there
//! is nothing new; its form does not show which. So:
//!
//! 1. A result without an origin takes the place of those before it: older versions give several, of which the last
//!    one counts. One without content replaces none.
//! 2. The text of a notice's result is added to the answer, after an empty line, unless it is empty or the same.
//! 3. How the run ended (its error, its cost, its tokens) is what the last result says. Where that is an error, its
//!    text is what the run says; earlier answers are in [`ClaudeResult::parts`].
//! 4. Where a result has no text, its answer to a JSON schema is the text, as JSON.

use cc_events::{ClaudeResult, ClaudeResultPart};

use crate::bounds::{TEXT_BYTES_LIMIT, cut_answer, cut_text};

/// Most results of a run that are kept one by one: the last ones.
const PARTS_LIMIT: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    last: Option<ClaudeResult>,
    text: Option<String>,
    is_truncated: bool,
    structured_output: Option<serde_json::Value>,
    turns: Option<u64>,
    parts: Vec<ClaudeResultPart>,
    added: u64,
}

impl Answers {
    pub(crate) fn add(&mut self, result: ClaudeResult, origin: Option<String>) {
        let is_notice = origin.as_deref().is_some_and(|origin| origin != "human");
        let says_something = result.structured_output.is_some()
            || result.result.as_deref().is_some_and(|text| !text.trim().is_empty());
        if !is_notice && (says_something || result.is_error) {
            (self.text, self.is_truncated, self.structured_output) = (None, false, None);
            (self.turns, self.added) = (None, 0);
        }
        if self.parts.len() == PARTS_LIMIT {
            self.parts.remove(0);
        }
        self.parts.push(ClaudeResultPart {
            origin,
            is_error: result.is_error,
            result: result.result.as_deref().map(|text| cut_text(text, TEXT_BYTES_LIMIT)),
            num_turns: result.num_turns,
        });
        if let Some(turns) = result.num_turns {
            self.turns = Some(self.turns.unwrap_or(0).saturating_add(turns));
        }
        if !result.is_error {
            self.add_text(&result, is_notice);
            self.structured_output =
                result.structured_output.clone().or(self.structured_output.take());
        }
        self.last = Some(result);
    }

    fn add_text(&mut self, result: &ClaudeResult, is_notice: bool) {
        self.is_truncated |= result.result_truncated;
        let text = result.result.clone().filter(|text| !text.trim().is_empty());
        let as_json = || result.structured_output.as_ref().map(ToString::to_string);
        let Some(text) = text.or_else(as_json).or_else(|| result.result.clone()) else { return };
        let (text, was_cut) = cut_answer(text);
        self.is_truncated |= was_cut;
        match &mut self.text {
            Some(before) if !before.trim().is_empty() => {
                let is_new = !text.trim().is_empty() && !before.ends_with(&text);
                if is_new {
                    before.push_str("\n\n");
                    before.push_str(&text);
                    let (text, was_cut) = cut_answer(std::mem::take(before));
                    *before = text;
                    self.is_truncated |= was_cut;
                    self.added += u64::from(is_notice);
                }
            }
            Some(_) | None => self.text = Some(text),
        }
    }

    /// How many texts of notices stand behind the answer.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }

    /// The result of the run.
    pub(crate) fn merged(&self) -> Option<ClaudeResult> {
        let mut result = self.last.clone()?;
        result.num_turns = self.turns;
        if self.parts.len() > 1 {
            result.parts.clone_from(&self.parts);
        }
        if result.is_error {
            return Some(result);
        }
        result.structured_output.clone_from(&self.structured_output);
        result.result.clone_from(&self.text);
        result.result_truncated = self.is_truncated;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(text: &str) -> ClaudeResult {
        ClaudeResult {
            result: Some(text.to_owned()),
            num_turns: Some(1),
            ..ClaudeResult::default()
        }
    }

    fn merged(results: &[(&str, Option<&str>)]) -> ClaudeResult {
        let mut answers = Answers::default();
        for (text, origin) in results {
            answers.add(result(text), origin.map(str::to_owned));
        }
        answers.merged().unwrap()
    }

    const NOTICE: Option<&str> = Some("task-notification");

    #[test]
    fn a_notice_that_is_chatter_does_not_take_the_place_of_the_answer() {
        let merged = merged(&[("the answer", None), ("nothing new", NOTICE)]);
        assert_eq!(merged.result.as_deref(), Some("the answer\n\nnothing new"));
        assert_eq!(merged.num_turns, Some(2));
        let origins: Vec<_> = merged.parts.iter().map(|part| part.origin.as_deref()).collect();
        assert_eq!(origins, [None, NOTICE]);
    }

    #[test]
    fn a_notice_that_brings_the_answer_is_in_it_and_an_empty_or_equal_one_adds_nothing() {
        let result =
            merged(&[("I wait for it.", None), ("", NOTICE), ("42", NOTICE), ("42", NOTICE)]);
        assert_eq!(result.result.as_deref(), Some("I wait for it.\n\n42"));
        assert_eq!(merged(&[("", None), ("42", NOTICE)]).result.as_deref(), Some("42"));
        assert_eq!(merged(&[("42", None), ("", None)]).result.as_deref(), Some("42"));
    }

    #[test]
    fn of_results_without_an_origin_the_last_one_counts() {
        assert_eq!(merged(&[("interim", None), ("final", None)]).result.as_deref(), Some("final"));
        let human = merged(&[("interim", None), ("chatter", NOTICE), ("final", Some("human"))]);
        assert_eq!(human.result.as_deref(), Some("final"));
    }

    #[test]
    fn a_last_result_that_is_an_error_says_how_the_run_ended_and_the_answer_is_kept() {
        let mut answers = Answers::default();
        answers.add(result("the answer"), None);
        let error = ClaudeResult { is_error: true, ..result("API Error: 500") };
        answers.add(error, NOTICE.map(str::to_owned));
        let merged = answers.merged().unwrap();
        assert!(merged.is_error);
        assert_eq!(merged.result.as_deref(), Some("API Error: 500"));
        assert_eq!(merged.parts[0].result.as_deref(), Some("the answer"));
        let mut recovered = Answers::default();
        recovered.add(ClaudeResult { is_error: true, ..result("API Error: 500") }, None);
        recovered.add(result("done"), NOTICE.map(str::to_owned));
        assert_eq!(recovered.merged().unwrap().result.as_deref(), Some("done"));
    }

    #[test]
    fn the_answer_to_a_schema_is_the_text_where_there_is_no_other() {
        let schema = |text: Option<&str>| {
            let mut answers = Answers::default();
            let structured_output = Some(json!({"a": 1}));
            let text = text.map(str::to_owned);
            answers.add(
                ClaudeResult { result: text, structured_output, ..ClaudeResult::default() },
                None,
            );
            answers.merged().unwrap()
        };
        assert_eq!(schema(Some("")).result.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(schema(None).result.as_deref(), Some(r#"{"a":1}"#));
        let mut answers = Answers::default();
        let structured_output = Some(json!({"a": 1}));
        answers.add(ClaudeResult { structured_output, ..ClaudeResult::default() }, None);
        answers.add(result("noted"), NOTICE.map(str::to_owned));
        assert_eq!(answers.merged().unwrap().result.as_deref(), Some("{\"a\":1}\n\nnoted"));
        assert_eq!(schema(Some("It is 1.")).result.as_deref(), Some("It is 1."));
        assert_eq!(schema(Some("It is 1.")).structured_output, Some(json!({"a": 1})));
    }

    #[test]
    fn of_very_many_results_the_text_and_the_list_are_bounded() {
        let mut answers = Answers::default();
        answers.add(result("first"), None);
        for number in 0..1_000 {
            answers
                .add(result(&format!("{number}{}", "x".repeat(10_000))), NOTICE.map(str::to_owned));
        }
        let merged = answers.merged().unwrap();
        assert_eq!(merged.parts.len(), PARTS_LIMIT);
        assert!(merged.result.unwrap().len() <= crate::RESULT_BYTES_LIMIT);
        assert!(merged.result_truncated);
    }
}
