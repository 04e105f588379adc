//! `execute`: start a task.
//!
//! Three forms, told apart by which of `command`, `argv` and `prompt` is there. Parameters are read
//! by hand rather than by a derive, because unknown ones must be named, the nearest known one
//! suggested, and the old form must tolerate what its clients have always sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{ErrorCode, ErrorObject};

/// Parameters of the old form.
const COMMAND_PARAMS: [&str; 3] = ["command", "timeout", "id"];
/// Parameters that every form takes.
pub const COMMON_PARAMS: [&str; 11] = [
    "command",
    "argv",
    "prompt",
    "timeout",
    "cwd",
    "env",
    "idle_timeout",
    "max_output_bytes",
    "max_line_bytes",
    "label",
    "detach",
];
/// Parameters that only go with `prompt`.
pub const PROMPT_PARAMS: [&str; 7] = [
    "model",
    "allowed_tools",
    "permission_mode",
    "append_system_prompt",
    "max_turns",
    "resume_claude_session",
    "extra_args",
];

/// Longest timeout that is accepted: 365 days.
pub const TIMEOUT_S_LIMIT: f64 = 365.0 * 86_400.0;
/// Longest label.
pub const LABEL_BYTES_LIMIT: usize = 1024;

/// The parameters of `execute`, read and checked. Also what a Rust client sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Execute {
    /// What to run.
    #[serde(flatten)]
    pub program: Program,
    /// Total timeout, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Silence timeout, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<f64>,
    /// Working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Added to the environment that the server's policy gives; null removes a variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Output limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_bytes: Option<u64>,
    /// Line limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_line_bytes: Option<u64>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The task belongs to no session: nothing of it is sent unless it is attached to, and no
    /// disconnect ends it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detach: bool,
    /// Parameters that the old form sent and nobody knows.
    #[serde(skip)]
    pub ignored_params: Vec<String>,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Program {
    /// A Claude task.
    Prompt(Box<Prompt>),
    /// A program and its arguments, without a shell.
    Argv {
        /// At least the program.
        argv: Vec<String>,
    },
    /// A line for a shell.
    Command {
        /// The line.
        command: String,
    },
}

impl Default for Program {
    fn default() -> Self {
        Self::Argv { argv: Vec::new() }
    }
}

/// A Claude task: the server builds the command line and gives the prompt on standard input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// The prompt.
    pub prompt: String,
    /// `--model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `--allowedTools`, an argument each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_tools: Vec<String>,
    /// `--permission-mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// `--append-system-prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_system_prompt: Option<String>,
    /// `--max-turns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u64>,
    /// `--resume`: go on with an earlier conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_claude_session: Option<String>,
    /// Further arguments, as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<String>,
}

/// The result of `execute`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecuteResult {
    /// Always `started`.
    pub status: String,
    /// Main process.
    pub pid: i32,
    /// Its process group.
    pub pgid: i32,
    /// uuid v7.
    pub task_id: String,
    /// What holds the task's processes together: `cgroup` or `subreaper`.
    pub containment: String,
    /// Parameters of the old form that nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_params: Vec<String>,
}

impl Execute {
    /// Reads and checks the parameters of an `execute` request.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidParams`], naming the parameter and what it takes.
    pub fn from_params(mut params: Map<String, Value>) -> Result<Self, ErrorObject> {
        params.retain(|_, value| !value.is_null());
        let ignored_params = check_names(&mut params)?;
        let mut reader = Reader { params };
        let timeout = reader.seconds("timeout")?;
        let idle_timeout = reader.seconds("idle_timeout")?;
        let execute = Self {
            timeout,
            idle_timeout,
            cwd: reader.text("cwd")?,
            env: reader.env()?,
            max_output_bytes: reader.count("max_output_bytes")?,
            max_line_bytes: reader.count("max_line_bytes")?,
            label: reader.text("label")?,
            detach: reader.flag("detach")?,
            program: reader.program()?,
            ignored_params,
        };
        if execute.label.as_ref().is_some_and(|label| label.len() > LABEL_BYTES_LIMIT) {
            return Err(invalid("label", &format!("must be at most {LABEL_BYTES_LIMIT} bytes")));
        }
        Ok(execute)
    }
}

/// Refuses unknown parameters; in the old form removes and returns them.
fn check_names(params: &mut Map<String, Value>) -> Result<Vec<String>, ErrorObject> {
    let forms: Vec<&str> = ["command", "argv", "prompt"]
        .into_iter()
        .filter(|form| params.contains_key(*form))
        .collect();
    match forms.as_slice() {
        [_] => {}
        [] => {
            return Err(invalid("command", "is missing: give one of command, argv and prompt"));
        }
        [_, second, ..] => {
            return Err(invalid(
                second,
                "cannot be combined: give only one of command, argv and prompt",
            ));
        }
    }
    let is_old_form = params.contains_key("command")
        && !params.keys().any(|name| {
            COMMON_PARAMS.contains(&name.as_str()) && !COMMAND_PARAMS.contains(&name.as_str())
        });
    if is_old_form {
        let unknown: Vec<String> = params
            .keys()
            .filter(|name| !COMMAND_PARAMS.contains(&name.as_str()))
            .cloned()
            .collect();
        params.retain(|name, _| COMMAND_PARAMS.contains(&name.as_str()));
        return Ok(unknown);
    }
    let takes_prompt_params = params.contains_key("prompt");
    for name in params.keys() {
        let name = name.as_str();
        if COMMON_PARAMS.contains(&name) || (takes_prompt_params && PROMPT_PARAMS.contains(&name)) {
            continue;
        }
        if PROMPT_PARAMS.contains(&name) {
            return Err(invalid(name, "goes only with prompt"));
        }
        if name == "id" {
            continue;
        }
        return Err(unknown(name));
    }
    Ok(Vec::new())
}

fn unknown(name: &str) -> ErrorObject {
    let nearest = COMMON_PARAMS
        .iter()
        .chain(&PROMPT_PARAMS)
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, known)) => {
            invalid(name, &format!("is unknown; did you mean {known:?}?")).with("suggestion", known)
        }
        None => invalid(
            name,
            &format!(
                "is unknown; known are {} and, with prompt, {}",
                COMMON_PARAMS.join(", "),
                PROMPT_PARAMS.join(", ")
            ),
        ),
    }
}

fn invalid(field: &str, what: &str) -> ErrorObject {
    ErrorObject::new(ErrorCode::InvalidParams, format!("Invalid params: {field} {what}"))
        .with("field", field)
}

/// Takes parameters out of the map, one by one.
struct Reader {
    params: Map<String, Value>,
}

impl Reader {
    fn text(&mut self, name: &str) -> Result<Option<String>, ErrorObject> {
        let text = match self.params.remove(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(invalid(name, "must be a string")),
        };
        if text.contains('\0') {
            return Err(invalid(name, "must not contain a NUL character"));
        }
        Ok(Some(text))
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, ErrorObject> {
        let Some(value) = self.params.remove(name) else { return Ok(Vec::new()) };
        let list: Vec<String> = serde_json::from_value(value)
            .map_err(|_| invalid(name, "must be a list of strings"))?;
        if list.iter().any(|text| text.contains('\0')) {
            return Err(invalid(name, "must not contain a NUL character"));
        }
        Ok(list)
    }

    fn flag(&mut self, name: &str) -> Result<bool, ErrorObject> {
        match self.params.remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }

    fn count(&mut self, name: &str) -> Result<Option<u64>, ErrorObject> {
        let Some(value) = self.params.remove(name) else { return Ok(None) };
        let count = value.as_u64().filter(|count| *count > 0);
        count.map(Some).ok_or_else(|| invalid(name, "must be a whole number greater than 0"))
    }

    fn seconds(&mut self, name: &str) -> Result<Option<f64>, ErrorObject> {
        let Some(value) = self.params.remove(name) else { return Ok(None) };
        value
            .as_f64()
            .filter(|seconds| *seconds > 0.0 && *seconds <= TIMEOUT_S_LIMIT)
            .map(Some)
            .ok_or_else(|| {
                invalid(
                    name,
                    "must be a number of seconds greater than 0 and at most 31536000 (a year)",
                )
            })
    }

    fn env(&mut self) -> Result<BTreeMap<String, Option<String>>, ErrorObject> {
        let Some(value) = self.params.remove("env") else { return Ok(BTreeMap::new()) };
        let env: BTreeMap<String, Option<String>> =
            serde_json::from_value(value).map_err(|_| {
                invalid("env", "must be an object of strings (or null to remove a variable)")
            })?;
        for (name, value) in &env {
            let is_bad_name = name.is_empty() || name.contains(['=', '\0']);
            if is_bad_name || value.as_ref().is_some_and(|value| value.contains('\0')) {
                return Err(invalid(
                    "env",
                    &format!(
                        "has the unusable variable {name:?}: no name may be empty or contain '=', nothing NUL"
                    ),
                ));
            }
        }
        Ok(env)
    }

    fn program(&mut self) -> Result<Program, ErrorObject> {
        if let Some(command) = self.text("command")? {
            if command.trim().is_empty() {
                return Err(invalid("command", "must not be empty"));
            }
            return Ok(Program::Command { command });
        }
        if self.params.contains_key("argv") {
            let argv = self.texts("argv")?;
            if argv.first().is_none_or(String::is_empty) {
                return Err(invalid("argv", "must begin with the name of a program"));
            }
            return Ok(Program::Argv { argv });
        }
        // A prompt goes by standard input, so it may hold anything.
        let prompt = match self.params.remove("prompt") {
            Some(Value::String(prompt)) if !prompt.trim().is_empty() => prompt,
            Some(Value::String(_)) => return Err(invalid("prompt", "must not be empty")),
            _ => return Err(invalid("prompt", "must be a string")),
        };
        Ok(Program::Prompt(Box::new(Prompt {
            prompt,
            model: self.text("model")?,
            allowed_tools: self.texts("allowed_tools")?,
            permission_mode: self.text("permission_mode")?,
            append_system_prompt: self.text("append_system_prompt")?,
            max_turns: self.count("max_turns")?,
            resume_claude_session: self.text("resume_claude_session")?,
            extra_args: self.texts("extra_args")?,
        })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(params: Value) -> Result<Execute, ErrorObject> {
        let Value::Object(params) = params else { panic!("no object") };
        Execute::from_params(params)
    }

    #[test]
    fn old_clients_may_send_what_nobody_knows_and_are_told() {
        let execute =
            read(json!({"command": "ls", "model": "x", "temperature": 1, "timeout": 5})).unwrap();
        assert_eq!(execute.ignored_params, ["model", "temperature"]);
        assert_eq!(execute.timeout, Some(5.0));
    }

    #[test]
    fn a_misspelt_limit_is_never_silently_no_limit() {
        let error = read(json!({"argv": ["ls"], "timeuot": 5})).unwrap_err();
        assert_eq!(error.code, -32602);
        assert!(
            error.message.contains("timeuot") && error.message.contains("\"timeout\""),
            "{}",
            error.message
        );
        assert!(read(json!({"command": "ls", "cwd": "/", "idel_timeout": 5})).is_err());
    }

    #[test]
    fn exactly_one_form_is_taken() {
        for params in [json!({}), json!({"timeout": 1}), json!({"command": "a", "argv": ["b"]})] {
            assert_eq!(read(params).unwrap_err().code, -32602);
        }
    }

    #[test]
    fn wrong_types_and_ranges_are_named() {
        for (params, field) in [
            (json!({"command": 5}), "command"),
            (json!({"command": "  "}), "command"),
            (json!({"command": "a\u{0}b"}), "command"),
            (json!({"argv": []}), "argv"),
            (json!({"argv": "ls"}), "argv"),
            (json!({"command": "a", "timeout": "5"}), "timeout"),
            (json!({"command": "a", "timeout": -1}), "timeout"),
            (json!({"command": "a", "timeout": 0}), "timeout"),
            (json!({"argv": ["a"], "env": {"A=B": "c"}}), "env"),
            (json!({"argv": ["a"], "model": "m"}), "model"),
            (json!({"prompt": ""}), "prompt"),
            (json!({"argv": ["a"], "max_line_bytes": 0}), "max_line_bytes"),
        ] {
            let error = read(params.clone()).unwrap_err();
            assert_eq!(error.data["field"], field, "{params}");
        }
    }

    #[test]
    fn what_a_rust_client_sends_is_read_back_the_same() {
        let execute = Execute {
            program: Program::Prompt(Box::new(Prompt {
                prompt: "hi".into(),
                allowed_tools: vec!["Bash".into()],
                ..Prompt::default()
            })),
            timeout: Some(1.5),
            env: BTreeMap::from([("A".to_owned(), Some("b".to_owned())), ("C".to_owned(), None)]),
            ..Execute::default()
        };
        assert_eq!(read(serde_json::to_value(&execute).unwrap()).unwrap(), execute);
    }
}
