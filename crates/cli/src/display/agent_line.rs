//! What an agent says while it works, as lines for people.

use std::time::Duration;

use cc_protocol::notification::TaskRetrying;
use serde::Deserialize;

use super::text;

/// Longest output line that is parsed; what is shown is cut to the terminal's width.
const LOOKED_AT_BYTES_LIMIT: usize = 16 * 1024;
/// More than any terminal is wide.
const SHOWN_CHARS_LIMIT: usize = 400;

/// `claude: retry 2 of 10 in 4 s: 401 authentication_failed`.
pub(crate) fn retry_line(TaskRetrying { retry, .. }: &TaskRetrying) -> String {
    let status = retry.error_status.map(|status| format!(" {status}")).unwrap_or_default();
    let error = retry.error.as_deref().map(|error| format!(" {error}")).unwrap_or_default();
    let delay_s = Duration::from_millis(retry.retry_delay_ms).as_secs_f64();
    format!(
        "claude: retry {} of {} in {delay_s} s:{status}{error}",
        retry.attempt, retry.max_retries,
    )
}

/// The part of an agent's stream line that is shown.
#[derive(Deserialize)]
struct StreamLine {
    message: Option<StreamMessage>,
}

#[derive(Deserialize)]
struct StreamMessage {
    content: Vec<StreamContent>,
}

#[derive(Deserialize)]
struct StreamContent {
    text: Option<String>,
    name: Option<String>,
}

/// An output line as it is shown: plain text as it is; of an agent's stream, what the agent says or
/// which tool it uses.
pub(crate) fn digest(data: &str) -> Option<String> {
    if data.len() > LOOKED_AT_BYTES_LIMIT {
        return None;
    }
    if !data.starts_with('{') {
        let line = text::one_line(data, SHOWN_CHARS_LIMIT);
        return (!line.is_empty()).then_some(line);
    }
    let line: StreamLine = serde_json::from_str(data).ok()?;
    let content = line.message?.content.into_iter().next_back()?;
    let said = content.text.or(content.name)?;
    Some(text::one_line(&said, SHOWN_CHARS_LIMIT))
}

#[cfg(test)]
mod tests {
    use cc_protocol::{ClaudeRetry, notification::Position};

    use super::*;

    #[test]
    fn a_retry_is_one_line_with_the_reason() {
        let position = Position { task_id: "t".to_owned(), seq: 1 };
        let retry = ClaudeRetry {
            attempt: 2,
            max_retries: 10,
            retry_delay_ms: 4000,
            error_status: Some(401),
            error: Some("authentication_failed".to_owned()),
        };
        let line = |retry| retry_line(&TaskRetrying { retry, position: position.clone() });
        assert_eq!(line(retry.clone()), "claude: retry 2 of 10 in 4 s: 401 authentication_failed");
        let unknown = ClaudeRetry { retry_delay_ms: 500, error_status: None, error: None, ..retry };
        assert_eq!(line(unknown), "claude: retry 2 of 10 in 0.5 s:");
    }

    #[test]
    fn of_an_agents_stream_people_see_what_it_says() {
        let line =
            r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I look\nnow"}]}}"#;
        assert_eq!(digest(line).as_deref(), Some("I look"));
        let tool = r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash","input":{}}]}}"#;
        assert_eq!(digest(tool).as_deref(), Some("Bash"));
        assert_eq!(digest(r#"{"type":"system","subtype":"init"}"#), None);
    }

    #[test]
    fn plain_output_is_seen_without_what_would_move_the_cursor() {
        assert_eq!(digest("50 %\u{1b}[1A\r\n").as_deref(), Some("50 %[1A"));
        assert_eq!(digest("\n"), None);
        assert_eq!(digest(&"x".repeat(LOOKED_AT_BYTES_LIMIT + 1)), None);
    }
}
