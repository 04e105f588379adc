//! One result line, read and bounded: it becomes a record of the task log and a message to clients.
//!
//! Called by [`crate::stream`].

use cc_events::ClaudeResult;

use crate::{
    bounds::{ERRORS_LIMIT, TEXT_BYTES_LIMIT, cut_answer, cut_text},
    line::Line,
};

/// Reads a result line; `cut` says that its end is missing.
pub(crate) fn read_result(
    line: &Line<'_>,
    cut: bool,
    claude_session_id: Option<String>,
    model: Option<String>,
) -> ClaudeResult {
    let api_error_status = line.count("api_error_status");
    let subtype = line.short_text("subtype");
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
        terminal_reason: line.short_text("terminal_reason"),
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
        startup_failure_reason: line.short_text("startup_failure_reason"),
        ..ClaudeResult::default()
    }
}
