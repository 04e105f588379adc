//! The texts of an attempt, for people: what went wrong, its last words, its result.

use cc_events::{ClaudeResult, Completed, EndReason, Verdict};

use crate::{
    batch::{
        attempt_end::collector::Collector,
        last_words::{last_line, last_words},
    },
    config::limits,
};

impl Collector {
    /// The end of standard output; for a Claude stream what the agent said, not the stream.
    pub(super) fn stdout_tail(&self) -> Option<String> {
        let is_stream = self.result.is_some() || self.observer.summary().is_stream;
        let errors = self.result.as_ref().map(|result| result.errors.join("\n"));
        let answer = self.result.as_ref().and_then(|result| result.result.clone());
        let is_something = |text: &String| !text.trim().is_empty();
        let said = answer.filter(is_something).or_else(|| errors.filter(is_something));
        let said = said.or_else(|| self.observer.summary().last_text);
        self.tails.stdout_tail(is_stream, said.as_deref())
    }

    /// The text of the limit, in the CLI's own words if it has any.
    pub(super) fn limit_words(&self) -> String {
        let said = self.result.as_deref().filter(|result| result.is_error);
        let said = said.and_then(|result| result.result.as_deref());
        let words = said.or(self.report.as_ref().map(|report| report.message.as_str()));
        let words =
            words.unwrap_or("a usage limit").split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().take(limits::BATCH_LIMIT_WORDS_CHARS).collect()
    }

    /// What went wrong: the supervisor's own words, else the CLI's, else the last words of the attempt.
    pub(super) fn error(
        &self,
        completed: &Completed,
        stdout_tail: Option<&str>,
        stderr_tail: Option<&str>,
    ) -> Option<String> {
        let said = self.result.as_deref().and_then(words_of_error);
        // A bad result says more than that the CLI did not exit after it.
        let is_by_result = completed.reason == EndReason::Lingered && said.is_some();
        if let Some(error) = completed.error.as_ref().filter(|_| !is_by_result) {
            return Some(error.clone());
        }
        let of_warnings = || {
            let words = completed.warnings.iter().map(|warning| warning.message.as_str());
            let words = words.collect::<Vec<_>>().join("; ");
            (!words.is_empty()).then_some(words)
        };
        let is_without_result = completed.verdict == Verdict::NoResult;
        let cut =
            "its output ends in the middle of a line of the stream, perhaps that of its result";
        let of_stdout = || {
            let line = stdout_tail.filter(|_| is_without_result).and_then(last_line);
            line.and_then(end_of_line)
        };
        let error = said
            .or_else(of_warnings)
            .or_else(|| stderr_tail.and_then(last_line).and_then(end_of_line))
            .or_else(|| self.is_result_cut().then(|| CUT_RESULT.to_owned()))
            .or_else(|| {
                (is_without_result && self.tails.ends_in_stream_line()).then(|| cut.to_owned())
            })
            .or_else(of_stdout);
        error.map(|error| shortened(&error))
    }

    fn is_result_cut(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.result_truncated)
    }

    /// [`JobEnd::text`](super::JobEnd::text), and whether it was cut.
    pub(crate) fn into_text(mut self) -> (Option<String>, bool) {
        self.take_text()
    }

    /// The text of a program that is no agent is complete: what follows adds nothing to it.
    pub(crate) fn has_all_of_a_programs_text(&self) -> bool {
        self.stdout_truncated && self.stdout.len() >= limits::BATCH_RESULT_BYTES
    }

    pub(super) fn take_text(&mut self) -> (Option<String>, bool) {
        if let Some(result) = &self.result {
            return (result.result.clone(), result.result_truncated);
        }
        let mut text = String::from_utf8_lossy(&self.stdout).into_owned();
        if text.ends_with('\n') {
            text.pop();
        }
        // Invalid UTF-8 grows when it becomes text, and control characters grow in JSON.
        let (text, was_cut) = cc_claude::cut_answer(text);
        (Some(text), self.stdout_truncated || was_cut)
    }
}

/// The error for a result that was cut, if nothing else says what went wrong.
pub(super) const CUT_RESULT: &str =
    "its result line was cut: neither its answer nor its judgement is whole";

/// The error of a result, from the most to the least informative field.
fn words_of_error(result: &ClaudeResult) -> Option<String> {
    let is_something = |text: &String| !text.trim().is_empty();
    let text = result.result.clone().filter(|_| result.is_error).filter(is_something);
    let errors = || Some(result.errors.join("; ")).filter(is_something);
    let startup = || {
        let word = result.startup_failure_reason.as_deref()?;
        Some(format!("the CLI failed at its start: {word}"))
    };
    let api = || Some(format!("the API refused: {}", result.api_error.as_deref()?));
    let kind = || {
        let words = [result.subtype.as_deref(), result.terminal_reason.as_deref()];
        let word =
            words.into_iter().flatten().find(|word| !matches!(*word, "success" | "completed"));
        word.filter(|_| result.is_error).map(|word| format!("the CLI ended with “{word}”"))
    };
    text.or_else(errors).or_else(startup).or_else(api).or_else(kind)
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(limits::BATCH_ERROR_CHARS).collect()
}

/// The end of a line that is too long: there a program says what went wrong.
fn end_of_line(line: &str) -> Option<String> {
    last_words(line, limits::BATCH_ERROR_CHARS, false)
}

/// The error, and what a person must do about it.
pub(super) fn with_advice(said: Option<String>, dead_end: cc_claude::DeadEnd) -> String {
    let said = said.unwrap_or_default();
    let said = said.trim_end_matches(['.', ' ']);
    match said.is_empty() {
        true => dead_end.advice().to_owned(),
        false => format!("{said}: {}", dead_end.advice()),
    }
}
