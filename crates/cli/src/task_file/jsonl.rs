//! `.jsonl`: an object a line, with the parameters of `execute`.
//!
//! The wire contract's own reader judges them, so that a file and a request never differ.

use cc_protocol::execute::Execute;
use serde_json::{Map, Value};

use super::Found;

/// What the wire contract's reader says before every complaint.
const WIRE_PREFIX: &str = "Invalid params: ";

pub(super) fn parse(text: &str) -> Found {
    let mut found = Found::default();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match read(line) {
            Ok(execute) => found.task(index + 1, execute),
            Err(what) => found.mistake(index + 1, what),
        }
    }
    found
}

fn read(line: &str) -> Result<Execute, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| no_json(&error))?;
    let Value::Object(mut params) = value else {
        return Err("must be an object, such as {\"prompt\": \"...\"}".to_owned());
    };
    if params.contains_key("id") {
        return Err("id is unknown; did you mean \"label\"?".to_owned());
    }
    let has_label = params.get("label").is_some_and(|label| !label.is_null());
    make_strict(&mut params);
    let mut execute = Execute::from_params(params).map_err(|error| {
        error.message.strip_prefix(WIRE_PREFIX).unwrap_or(&error.message).to_owned()
    })?;
    if !has_label {
        execute.label = None;
    }
    Ok(execute)
}

/// The reader's complaint without its line number, which is that of a file of one line.
fn no_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("is no JSON: {what} (column {})", error.column())
}

/// With nothing but `command` and `timeout` a request is of the old form, whose clients may send
/// what nobody knows. Nobody wrote a file for them, so any newer parameter is added.
fn make_strict(params: &mut Map<String, Value>) {
    params.retain(|_, value| !value.is_null());
    params.entry("label").or_insert_with(|| Value::String(String::new()));
}
