//! What the stand-in answers: the first line of the prompt says it.
//!
//! | prompt | answer |
//! |---|---|
//! | `say: TEXT` | the text |
//! | `words: N` | N words, in deltas of 50 |
//! | `long-line: BYTES` | one text of that many bytes, in one delta |
//! | `slow: N` | N words, 200 ms apart |
//! | `bash: COMMAND` | calls the tool `Bash`; then says what it printed |
//! | `background: COMMAND` | the same with `run_in_background` |
//! | `agent: PROMPT` | gives a subagent this prompt; then says what came of the call |
//! | `background agent: PROMPT` | the same with `run_in_background` |
//! | `tool: NAME INPUT` | calls that tool with this JSON; then says what it gave |
//! | `stop with: REASON` | the beginning of an answer, with this `stop_reason` |
//! | `status: CODE` | that HTTP status with the API's error object |
//! | `error CODE TYPE: MESSAGE` | the same with a type and a message of the prompt's choice |
//! | `refuse N times with CODE: TEXT` | that status to the first N requests with this prompt, then the text |
//! | `usage limit: WORD` | refuses because of this usage limit, such as `seven_day_opus` |
//! | `overage` | a text, with the headers of a usage limit that extra usage bridges |
//! | `near the limit` | a text, with the headers of a usage limit that is nearly reached |
//! | `hang` | nothing, until the client goes away |
//! | `drop connection` | the beginning of an answer, then the connection breaks |
//! | `drop connection after: N` | N words of an answer, then the connection breaks |
//! | `drop connection once: TEXT` | the same for the first request with this prompt, then the text |
//! | anything else | the prompt itself |
//!
//! Two further lines of a prompt may say more about a call of a tool:
//!
//! | line | instead of |
//! |---|---|
//! | `after the call: TEXT` | what the tool gave |
//! | `when told: TEXT` | `I was told.`, the answer when the CLI says that background work is over |
//!
//! Pure: a conversation in, and how often it was met before; a reply out.

use std::time::Duration;

use serde_json::{Value, json};

use super::{conversation::Conversation, limit::Usage};

const WORDS_PER_DELTA: usize = 50;
const WORDS_BEFORE_A_DROP: usize = 20;
const SLOW_PAUSE: Duration = Duration::from_millis(200);

/// What the stand-in does with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Text, a delta each, with a pause before each.
    Text {
        deltas: Vec<String>,
        /// Before each delta.
        pause: Duration,
    },
    /// The beginning of a text, and why it ends there.
    Stop {
        reason: String,
    },
    Tool {
        name: String,
        input: Value,
    },
    /// An error of the API.
    Status(u16),
    /// An error of the API in words of the prompt.
    Error {
        status: u16,
        /// Such as `billing_error`.
        kind: String,
        message: String,
    },
    /// Headers about a usage limit, with a text where it does not refuse.
    Usage(Usage),
    Hang,
    /// Half an answer.
    DropConnection {
        /// In deltas of one word.
        after_words: usize,
    },
}

/// The answer to a notice of the CLI's, where the prompt has no words for it.
const TOLD: &str = "I was told.";

/// Decides. `asked_before` is how many requests with the same prompt came before.
#[must_use]
pub fn reply(conversation: &Conversation, asked_before: u64) -> Reply {
    let prompt = conversation.prompt.as_str();
    let line = prompt.lines().next().unwrap_or_default().trim();
    let (word, rest) = line.split_once(':').map_or((line, ""), |(word, rest)| (word, rest.trim()));
    if conversation.is_told {
        return text(further_line(prompt, "when told").unwrap_or(TOLD).to_owned());
    }
    match (word, rest.parse::<usize>()) {
        ("say", _) => text(rest.to_owned()),
        ("words", Ok(count)) => words(count, WORDS_PER_DELTA, Duration::ZERO),
        ("slow", Ok(count)) => words(count, 1, SLOW_PAUSE),
        ("long-line", Ok(bytes)) => text("x".repeat(bytes)),
        ("stop with", _) => Reply::Stop { reason: rest.to_owned() },
        ("status", Ok(code)) => Reply::Status(u16::try_from(code).unwrap_or(500)),
        ("usage limit", _) => Reply::Usage(Usage::Reached(rest.to_owned())),
        ("overage", _) => Reply::Usage(Usage::Bridged),
        ("near the limit", _) => Reply::Usage(Usage::Near),
        ("hang", _) => Reply::Hang,
        _ if word.starts_with("refuse ") => refuse(word, rest, asked_before),
        _ if word.starts_with("error ") => error(word, rest),
        ("drop connection", _) => Reply::DropConnection { after_words: 0 },
        ("drop connection after", Ok(after_words)) => Reply::DropConnection { after_words },
        ("drop connection once", _) if asked_before == 0 => {
            Reply::DropConnection { after_words: WORDS_BEFORE_A_DROP }
        }
        ("drop connection once", _) => text(rest.to_owned()),
        _ => match (call(word, rest), &conversation.tool_result) {
            (None, _) => text(prompt.to_owned()),
            (Some(call), None) => call,
            (Some(_), Some(given)) => text(
                further_line(prompt, "after the call")
                    .map_or_else(|| format!("The tool said: {given}"), str::to_owned),
            ),
        },
    }
}

/// The call that a prompt asks for.
fn call(word: &str, rest: &str) -> Option<Reply> {
    let in_background = word.starts_with("background");
    let (name, input) = match word {
        "bash" | "background" => (
            "Bash",
            json!({
                "command": rest, "description": "as the script says",
                "run_in_background": in_background,
            }),
        ),
        "agent" | "background agent" => {
            let mut input = json!({
                "description": "a part", "prompt": rest, "subagent_type": "general-purpose",
            });
            // Left out, it is the CLI that decides where a subagent runs.
            if in_background {
                input["run_in_background"] = json!(true);
            }
            ("Agent", input)
        }
        "tool" => {
            let (name, input) = rest.split_once(' ').unwrap_or((rest, "{}"));
            (name, serde_json::from_str(input).ok()?)
        }
        _ => return None,
    };
    Some(Reply::Tool { name: name.to_owned(), input })
}

/// What a line after the first one says behind `word: `.
fn further_line<'a>(prompt: &'a str, word: &str) -> Option<&'a str> {
    prompt.lines().skip(1).find_map(|line| line.strip_prefix(word)?.strip_prefix(": "))
}

/// Reads `error CODE TYPE`.
fn error(word: &str, message: &str) -> Reply {
    let mut parts = word.split(' ').skip(1);
    let status = parts.next().and_then(|code| code.parse().ok()).unwrap_or(400);
    let kind = parts.next().unwrap_or("invalid_request_error").to_owned();
    Reply::Error { status, kind, message: message.to_owned() }
}

/// Reads `refuse N times with CODE`; what cannot be read so is an error that the CLI does not retry.
fn refuse(word: &str, then: &str, asked_before: u64) -> Reply {
    let numbers: Vec<u64> = word.split(' ').filter_map(|part| part.parse().ok()).collect();
    match numbers[..] {
        [times, _] if asked_before >= times => text(then.to_owned()),
        [_, code] => Reply::Status(u16::try_from(code).unwrap_or(400)),
        _ => Reply::Status(400),
    }
}

fn text(text: String) -> Reply {
    Reply::Text { deltas: vec![text], pause: Duration::ZERO }
}

fn words(count: usize, per_delta: usize, pause: Duration) -> Reply {
    let words: Vec<String> = (1..=count).map(|number| format!("word{number} ")).collect();
    Reply::Text { deltas: words.chunks(per_delta).map(|chunk| chunk.concat()).collect(), pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_to(prompt: &str, tool_result: Option<&str>) -> Reply {
        let conversation = Conversation {
            prompt: prompt.to_owned(),
            tool_result: tool_result.map(str::to_owned),
            ..Conversation::default()
        };
        reply(&conversation, 0)
    }

    #[test]
    fn who_is_refused_some_times_is_answered_then() {
        let prompt = "refuse 2 times with 529: the answer: 4".to_owned();
        let conversation = Conversation { prompt, ..Conversation::default() };
        let replies: Vec<Reply> = (0..4).map(|before| reply(&conversation, before)).collect();
        let answer = || text("the answer: 4".to_owned());
        assert_eq!(replies, [Reply::Status(529), Reply::Status(529), answer(), answer()]);
    }

    #[test]
    fn a_prompt_without_an_order_is_echoed_whole() {
        for prompt in ["What is 2+2?", "words: many", "several\nlines", ""] {
            assert_eq!(reply_to(prompt, None), text(prompt.to_owned()));
        }
    }

    #[test]
    fn a_tool_is_called_once_and_its_result_is_told() {
        let Reply::Tool { name, input } = reply_to("bash: echo a: b", None) else { panic!("none") };
        assert_eq!((name.as_str(), &input["command"]), ("Bash", &json!("echo a: b")));
        assert_eq!(input["run_in_background"], false);
        assert_eq!(reply_to("bash: echo hi", Some("hi")), text("The tool said: hi".to_owned()));
        assert_eq!(
            reply_to("bash: date\nafter the call: noon", Some("12")),
            text("noon".to_owned())
        );
    }

    #[test]
    fn a_subagent_is_in_the_background_only_where_the_prompt_says_so() {
        for (prompt, expected) in
            [("agent: say: 4", Value::Null), ("background agent: say: 4", json!(true))]
        {
            let Reply::Tool { name, input } = reply_to(prompt, None) else { panic!("no tool") };
            assert_eq!((name.as_str(), &input["prompt"]), ("Agent", &json!("say: 4")));
            assert_eq!(input["run_in_background"], expected);
        }
    }

    #[test]
    fn any_tool_is_called_with_what_the_prompt_says() {
        let input = json!({"answer": 4});
        let call = Reply::Tool { name: "StructuredOutput".to_owned(), input };
        assert_eq!(reply_to(r#"tool: StructuredOutput {"answer": 4}"#, None), call);
    }

    #[test]
    fn who_is_told_that_background_work_is_over_says_so_and_calls_nothing() {
        let told = |prompt: &str| {
            let conversation = Conversation {
                prompt: prompt.to_owned(),
                tool_result: Some("running".to_owned()),
                is_told: true,
                ..Conversation::default()
            };
            reply(&conversation, 0)
        };
        assert_eq!(told("background: make"), text(TOLD.to_owned()));
        assert_eq!(told("background: make\nwhen told: 4"), text("4".to_owned()));
    }

    #[test]
    fn an_error_can_be_put_in_the_words_of_the_real_api() {
        let error = Reply::Error {
            status: 400,
            kind: "invalid_request_error".to_owned(),
            message: "prompt is too long: 9 tokens".to_owned(),
        };
        let prompt = "error 400 invalid_request_error: prompt is too long: 9 tokens";
        assert_eq!(reply_to(prompt, None), error);
    }

    #[test]
    fn words_are_counted_and_sent_in_deltas() {
        let Reply::Text { deltas, pause } = reply_to("words: 120", None) else { panic!("no text") };
        assert_eq!((deltas.len(), pause), (3, Duration::ZERO));
        assert_eq!(deltas.concat().split_whitespace().count(), 120);
    }
}
