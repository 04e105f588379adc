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
//! | `status: CODE` | that HTTP status with the API's error object |
//! | `refuse N times with CODE: TEXT` | that status to the first N requests with this prompt, then the text |
//! | `hang` | nothing, until the client goes away |
//! | `drop connection` | the beginning of an answer, then the connection breaks |
//! | anything else | the prompt itself |
//!
//! Pure: a conversation in, and how often it was met before; a reply out.

use std::time::Duration;

use super::conversation::Conversation;

const WORDS_PER_DELTA: usize = 50;
const SLOW_PAUSE: Duration = Duration::from_millis(200);

/// What the stand-in does with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Text, a delta each, with a pause before each.
    Text {
        /// In order.
        deltas: Vec<String>,
        /// Before each delta.
        pause: Duration,
    },
    /// Calls the tool `Bash`.
    Bash {
        /// For the shell.
        command: String,
        /// Without waiting for it.
        in_background: bool,
    },
    /// An error of the API.
    Status(u16),
    /// No answer.
    Hang,
    /// Half an answer.
    DropConnection,
}

/// Decides. `asked_before` is how many requests with the same prompt came before.
#[must_use]
pub fn reply(conversation: &Conversation, asked_before: u64) -> Reply {
    let prompt = conversation.prompt.as_str();
    let line = prompt.lines().next().unwrap_or_default().trim();
    let (word, rest) = line.split_once(':').map_or((line, ""), |(word, rest)| (word, rest.trim()));
    match (word, rest.parse::<usize>()) {
        ("say", _) => text(rest.to_owned()),
        ("words", Ok(count)) => words(count, WORDS_PER_DELTA, Duration::ZERO),
        ("slow", Ok(count)) => words(count, 1, SLOW_PAUSE),
        ("long-line", Ok(bytes)) => text("x".repeat(bytes)),
        ("status", Ok(code)) => Reply::Status(u16::try_from(code).unwrap_or(500)),
        ("bash" | "background", _) => match &conversation.tool_result {
            None => Reply::Bash { command: rest.to_owned(), in_background: word == "background" },
            Some(printed) => text(format!("The tool said: {printed}")),
        },
        ("hang", _) => Reply::Hang,
        _ if word.starts_with("refuse ") => refuse(word, rest, asked_before),
        ("drop connection", _) => Reply::DropConnection,
        _ => text(prompt.to_owned()),
    }
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
        let tool_result = tool_result.map(str::to_owned);
        reply(&Conversation { model: String::new(), prompt: prompt.to_owned(), tool_result }, 0)
    }

    #[test]
    fn who_is_refused_some_times_is_answered_then() {
        let prompt = "refuse 2 times with 529: the answer: 4".to_owned();
        let conversation = Conversation { model: String::new(), prompt, tool_result: None };
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
        let call = Reply::Bash { command: "echo a: b".to_owned(), in_background: false };
        assert_eq!(reply_to("bash: echo a: b", None), call);
        assert_eq!(reply_to("bash: echo hi", Some("hi")), text("The tool said: hi".to_owned()));
    }

    #[test]
    fn words_are_counted_and_sent_in_deltas() {
        let Reply::Text { deltas, pause } = reply_to("words: 120", None) else { panic!("no text") };
        assert_eq!((deltas.len(), pause), (3, Duration::ZERO));
        assert_eq!(deltas.concat().split_whitespace().count(), 120);
    }
}
