//! What the CLI sent, as far as the script needs it: the prompt, and the tool's result after it.

use serde::Deserialize;
use serde_json::Value;

/// The body of `POST /v1/messages`.
#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    model: String,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: Value,
}

/// A conversation so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// As the CLI asked for it.
    pub model: String,
    /// The last thing that the person wrote.
    pub prompt: String,
    /// What the tool printed, where one was called after the prompt.
    pub tool_result: Option<String>,
    /// The answer is wanted as events. The CLI asks once more without them when a stream has died.
    pub is_streamed: bool,
    /// The CLI has said since then that work in the background is over.
    pub is_told: bool,
}

/// What such a notice holds, whatever stands around it: 2.1.332 puts it into a reminder, 2.1.197 does not.
const NOTICE: &str = "<task-notification>";

impl Conversation {
    pub fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let request: Request = serde_json::from_slice(body)?;
        let mut conversation =
            Self { model: request.model, is_streamed: request.stream, ..Self::default() };
        for message in request.messages.iter().filter(|message| message.role == "user") {
            conversation.add(&message.content);
        }
        Ok(conversation)
    }

    fn add(&mut self, content: &Value) {
        let whole = [content.clone()];
        for block in content.as_array().map_or(&whole[..], Vec::as_slice) {
            if block["type"] == "tool_result" {
                self.tool_result = Some(text_of(&block["content"]));
                continue;
            }
            let text = text_of(block);
            if text.contains(NOTICE) {
                self.is_told = true;
                continue;
            }
            // The CLI's own remarks to the model stand beside the prompt.
            if !text.is_empty() && !text.trim_start().starts_with("<system-reminder>") {
                self.prompt = text;
                self.tool_result = None;
                self.is_told = false;
            }
        }
    }
}

/// The text of a string, a text block, or a list of blocks.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(text_of).collect(),
        Value::Object(block) => block.get("text").map(text_of).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(messages: &Value) -> Conversation {
        let body = json!({"model": "m", "messages": messages, "stream": true});
        Conversation::read(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_prompt_is_what_the_person_wrote_last() {
        let conversation = read(&json!([
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>be kind</system-reminder>"},
                {"type": "text", "text": "say: 4"},
            ]},
            {"role": "system", "content": "tools"},
        ]));
        assert_eq!(conversation.prompt, "say: 4");
        assert_eq!(conversation.tool_result, None);
        assert_eq!(read(&json!([{"role": "user", "content": "plain"}])).prompt, "plain");
    }

    #[test]
    fn a_tool_result_belongs_to_the_prompt_before_it() {
        let result = |content: Value| json!({"type": "tool_result", "content": content});
        let mut messages = json!([
            {"role": "user", "content": "bash: date"},
            {"role": "assistant", "content": [{"type": "tool_use"}]},
            {"role": "user", "content": [result(json!([{"type": "text", "text": "noon"}]))]},
        ]);
        assert_eq!(read(&messages).prompt, "bash: date");
        assert_eq!(read(&messages).tool_result.as_deref(), Some("noon"));
        messages.as_array_mut().unwrap().push(json!({"role": "user", "content": "say: bye"}));
        assert_eq!(read(&messages).tool_result, None);
    }

    #[test]
    fn a_notice_of_background_work_is_no_prompt_however_it_is_wrapped() {
        let notice = "<task-notification>\n<status>completed</status>\n</task-notification>";
        let reminder = format!("<system-reminder>\nNOT USER INPUT\n{notice}\n</system-reminder>");
        for text in [notice, &reminder] {
            let mut messages = json!([
                {"role": "user", "content": "background: make"},
                {"role": "user", "content": [{"type": "text", "text": text}]},
            ]);
            assert_eq!(read(&messages).prompt, "background: make");
            assert!(read(&messages).is_told);
            messages.as_array_mut().unwrap().push(json!({"role": "user", "content": "say: bye"}));
            assert!(!read(&messages).is_told);
        }
    }
}
