//! One result line, read and bounded: it becomes a record of the task log and a message to clients.
//!
//! Owns the limits of everything that is taken out of a stream. Called by [`crate::stream`].

use crate::line::Line;
use cc_events::ClaudeResult;

/// Longest answer in [`ClaudeResult::result`]; the whole of it is in the output.
pub const RESULT_BYTES_LIMIT: usize = 256 * 1024;
/// Longest JSON form of that answer, so that one full of control characters fits a message too.
pub const RESULT_JSON_BYTES_LIMIT: usize = 512 * 1024;
/// Longest JSON text that is kept as [`ClaudeResult::usage`].
pub const USAGE_BYTES_LIMIT: usize = 64 * 1024;
/// Most texts of [`ClaudeResult::errors`].
pub const ERRORS_LIMIT: usize = 16;
/// Longest JSON text that is kept as [`ClaudeResult::structured_output`].
pub const STRUCTURED_BYTES_LIMIT: usize = 256 * 1024;
/// Longest of all other texts that are taken from the stream.
pub const TEXT_BYTES_LIMIT: usize = 4 * 1024;
/// Reads a result line; `cut` says that its end is missing.
pub(crate) fn read_result(
    line: &Line<'_>,
    cut: bool,
    claude_session_id: Option<String>,
    model: Option<String>,
) -> ClaudeResult {
    let api_error_status = line.count("api_error_status");
    let subtype = short_text(line, "subtype");
    let (result, result_truncated) = match line.text("result") {
        Some(text) => {
            let is_whole = line.value("result").is_some_and(|value| value.is_whole);
            let (text, was_cut) = cut_answer(text);
            (Some(text), was_cut || !is_whole)
        }
        None => (None, cut),
    };
    ClaudeResult {
        // Without the CLI's own judgement only a result that names no trouble passes as good; and one whose kind is an
        // error (`error_max_turns`, …) is none whatever the judgement.
        is_error: subtype.as_deref().is_some_and(|subtype| subtype.starts_with("error"))
            || line.boolean("is_error").unwrap_or_else(|| {
                api_error_status.is_some() || subtype.as_deref() != Some("success")
            }),
        result,
        result_truncated,
        api_error_status,
        terminal_reason: short_text(line, "terminal_reason"),
        subtype,
        claude_session_id,
        num_turns: line.count("num_turns"),
        total_cost_usd: line.number("total_cost_usd"),
        usage: line.json("usage"),
        model,
        model_usage: line.json("modelUsage"),
        errors: line
            .texts("errors")
            .map(|(_, error)| cut_text(&error, TEXT_BYTES_LIMIT))
            .take(ERRORS_LIMIT)
            .collect(),
        structured_output: line.json("structured_output"),
        startup_failure_reason: short_text(line, "startup_failure_reason"),
        ..ClaudeResult::default()
    }
}

/// A text field, cut to [`TEXT_BYTES_LIMIT`].
pub(crate) fn short_text(line: &Line<'_>, name: &str) -> Option<String> {
    line.text(name).map(|text| cut_text(&text, TEXT_BYTES_LIMIT))
}

/// The beginning of a text, cut at a character boundary.
pub(crate) fn cut_text(text: &str, bytes_limit: usize) -> String {
    text[..text.floor_char_boundary(bytes_limit)].to_owned()
}

/// Cuts an answer at a character boundary where it, or its JSON form, becomes too long; says whether it did.
#[must_use]
pub fn cut_answer(mut text: String) -> (String, bool) {
    let mut json_bytes = 0;
    let end = text
        .char_indices()
        .find(|&(start, letter)| {
            json_bytes += json_bytes_of(letter);
            start + letter.len_utf8() > RESULT_BYTES_LIMIT || json_bytes > RESULT_JSON_BYTES_LIMIT
        })
        .map(|(start, _)| start);
    if let Some(end) = end {
        text.truncate(end);
        text.shrink_to_fit();
    }
    (text, end.is_some())
}

fn json_bytes_of(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        letter if letter.is_ascii_control() => 6,
        letter => letter.len_utf8(),
    }
}
