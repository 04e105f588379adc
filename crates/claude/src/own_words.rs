//! Whether the text of an error is the CLI's own, or an agent's that only tells of its work.
//!
//! An agent that has worked for many turns may well write of limits, payments and logins: of those in the code that it
//! works on. Such a text decides nothing. Pure; called by [`crate::dead_end`] and `limit`.

use cc_events::ClaudeResult;

/// What an agent's text begins with, in lower case, and none of the CLI's.
const FIRST_PERSON: [&str; 4] = ["i ", "i'", "i\u{2019}", "we "];
/// What the CLI puts before the words of the API, or of its limits, in lower case.
const PREFIXES: [&str; 5] = ["api error", "error", "claude ai ", "claude ", "your "];
/// Between such a prefix and the words there is no more than a status and a type in JSON, bytes.
const PREFIX_REST_BYTES: usize = 160;

/// The texts of an error result that may be the CLI's, in the order in which they are to be read. `beginnings`, in lower
/// case, are those of its sentences about what is looked for.
pub(crate) fn texts<'a>(
    result: &'a ClaudeResult,
    beginnings: &[&str],
) -> impl Iterator<Item = &'a str> {
    let answer = result.result.as_deref();
    let answer = answer.filter(|text| is_marked(result) || is_own(result, text, beginnings));
    // An agent writes none of these.
    answer.into_iter().chain(result.errors.iter().map(String::as_str))
}

/// The stream says that the text is the API's or the CLI's.
fn is_marked(result: &ClaudeResult) -> bool {
    let reason = result.terminal_reason.as_deref();
    result.api_error_status.is_some()
        || result.api_error.is_some()
        || matches!(reason, Some("blocking_limit" | "api_error"))
}

/// Of a text that the stream does not mark, which older versions do not: by its form, or because no agent had a turn in
/// which to find anything out.
fn is_own(result: &ClaudeResult, text: &str, beginnings: &[&str]) -> bool {
    let text = text.trim_start();
    let end = text.floor_char_boundary(PREFIX_REST_BYTES);
    let text = text[..end].to_ascii_lowercase();
    if FIRST_PERSON.iter().any(|words| text.starts_with(words)) {
        return false;
    }
    if result.num_turns.unwrap_or(0) <= 1 || text.starts_with("api error") {
        return true;
    }
    let without_prefix =
        PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    let without_prefix = without_prefix.trim_start_matches([':', ' ']);
    beginnings.iter().any(|words| text.starts_with(words) || without_prefix.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, num_turns: u64) -> ClaudeResult {
        ClaudeResult {
            is_error: true,
            result: Some(text.to_owned()),
            num_turns: Some(num_turns),
            ..ClaudeResult::default()
        }
    }

    fn is_read(result: &ClaudeResult) -> bool {
        texts(result, &["usage limit reached", "credit balance"]).next().is_some()
    }

    #[test]
    fn what_an_agent_writes_after_many_turns_is_not_the_clis() {
        let prose = "The tests of the usage limit reached their timeout";
        assert!(!is_read(&error(prose, 12)));
        assert!(is_read(&error(prose, 1)), "no agent could have found it out");
        assert!(
            !is_read(&error("I saw that the usage limit is reached", 1)),
            "only an agent says I"
        );
        for text in [
            "Usage limit reached",
            "Claude AI usage limit reached|1790000000",
            "Error: Credit balance is too low",
            "API Error: 400 {\"message\":\"credit balance\"}",
        ] {
            assert!(is_read(&error(text, 12)), "{text}");
        }
    }

    #[test]
    fn what_the_stream_marks_is_the_clis_however_it_begins() {
        let prose = error("In this text it is the last words that count: usage limit", 12);
        let marked = |mark: fn(&mut ClaudeResult)| {
            let mut result = prose.clone();
            mark(&mut result);
            result
        };
        assert!(!is_read(&prose));
        assert!(is_read(&marked(|result| result.api_error_status = Some(429))));
        assert!(is_read(&marked(|result| result.api_error = Some("rate_limit".to_owned()))));
        let reason = |result: &mut ClaudeResult| {
            result.terminal_reason = Some("blocking_limit".to_owned());
        };
        assert!(is_read(&marked(reason)));
        assert!(is_read(&marked(|result| result.errors.push("usage limit reached".to_owned()))));
    }
}
