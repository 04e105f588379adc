//! A message as the API streams it: server-sent events in the order that the CLI expects.

use hyper::body::Bytes;
use serde_json::{Value, json};

/// What the message holds, and in which steps it is sent.
#[derive(Debug)]
pub enum Block<'a> {
    /// A text in deltas.
    Text(&'a [String]),
    /// The same, and the model says why it ends there.
    Stopped {
        /// As with [`Block::Text`].
        deltas: &'a [String],
        reason: &'a str,
    },
    /// A call of a tool.
    ToolUse { name: &'a str, input: Value },
}

/// The events of one message, ready to send. The first is always `message_start`.
#[must_use]
pub fn of_message(number: u64, model: &str, block: &Block<'_>) -> Vec<Bytes> {
    let mut events = vec![event(json!({"type": "message_start", "message": {
        "id": format!("msg_{number:08}"), "type": "message", "role": "assistant", "model": model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }}))];
    let mut push = |value: Value| events.push(event(value));
    let stop_reason = match block {
        Block::Text(deltas) | Block::Stopped { deltas, .. } => {
            push(json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}}));
            for delta in *deltas {
                push(json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "text_delta", "text": delta}}));
            }
            if let Block::Stopped { reason, .. } = block { reason } else { "end_turn" }
        }
        Block::ToolUse { name, input } => {
            push(json!({"type": "content_block_start", "index": 0, "content_block": {
                "type": "tool_use", "id": format!("toolu_{number:08}"), "name": name, "input": {},
            }}));
            push(json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": input.to_string()}}));
            "tool_use"
        }
    };
    push(json!({"type": "content_block_stop", "index": 0}));
    push(json!({"type": "message_delta", "usage": {"output_tokens": 20},
        "delta": {"stop_reason": stop_reason, "stop_sequence": null}}));
    push(json!({"type": "message_stop"}));
    events
}

/// The same message in one piece, as it is given to a client that does not want events.
#[must_use]
pub fn whole_message(number: u64, model: &str, block: &Block<'_>) -> Bytes {
    let (content, stop_reason) = match block {
        Block::Text(deltas) => (json!({"type": "text", "text": deltas.concat()}), "end_turn"),
        Block::Stopped { deltas, reason } => {
            (json!({"type": "text", "text": deltas.concat()}), *reason)
        }
        Block::ToolUse { name, input } => (
            json!({"type": "tool_use", "id": format!("toolu_{number:08}"), "name": name, "input": input}),
            "tool_use",
        ),
    };
    let message = json!({
        "id": format!("msg_{number:08}"), "type": "message", "role": "assistant", "model": model,
        "content": [content], "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 20},
    });
    Bytes::from(message.to_string())
}

fn event(data: Value) -> Bytes {
    let name = data["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The API's error object for a status.
#[must_use]
pub fn error_body(status: u16) -> Bytes {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    error_body_of(kind, &format!("the stand-in was asked for status {status}"))
}

/// The API's error object with this type and message.
#[must_use]
pub fn error_body_of(kind: &str, message: &str) -> Bytes {
    Bytes::from(json!({"type": "error", "error": {"type": kind, "message": message}}).to_string())
}
