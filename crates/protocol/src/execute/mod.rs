//! `execute`: start a task.
//!
//! Three forms, told apart by which of `command`, `argv` and `prompt` is there. Unknown parameters are
//! refused, except in the [predecessor's form](crate::legacy).

use std::collections::BTreeMap;

use cc_events::Isolation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::params::TIMEOUT_S_LIMIT;
use crate::{
    error::ErrorObject,
    legacy,
    params::{Params, invalid, unknown},
};

/// Parameters that every form takes.
pub const COMMON_PARAMS: [&str; 15] = [
    "command",
    "argv",
    "prompt",
    "timeout",
    "cwd",
    "env",
    "idle_timeout",
    "max_output_bytes",
    "max_line_bytes",
    "max_memory_bytes",
    "max_processes",
    "max_cpu_percent",
    "max_open_files",
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
    /// Memory limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// Limit of processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_processes: Option<u64>,
    /// Limit of CPU time, percent of one CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu_percent: Option<u64>,
    /// Limit of open files of each process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_open_files: Option<u64>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The task belongs to no session: nothing of it is sent unless it is attached to, and no
    /// disconnect ends it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detach: bool,
    /// Unknown parameters of the [predecessor's form](crate::legacy).
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
        /// Where the operator allows only some programs, it is split into words and no shell is started.
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
    /// What the agent is to do.
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
    /// `--resume`: continues an earlier conversation.
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
    /// The pid of the task's main process.
    pub pid: i32,
    /// Its process group.
    pub pgid: i32,
    /// uuid v7.
    pub task_id: String,
    /// What holds the task's processes together: `cgroup` or `subreaper`.
    pub containment: String,
    /// What it is kept from, and its limits, as far as they are in force.
    #[serde(default, skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
    /// Unknown parameters of the [predecessor's form](crate::legacy).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_params: Vec<String>,
}

impl Execute {
    /// Reads and checks the parameters of an `execute` request.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter and what it takes.
    pub fn from_params(mut params: Map<String, Value>) -> Result<Self, ErrorObject> {
        params.retain(|_, value| !value.is_null());
        let ignored_params = check_names(&mut params)?;
        let mut params = Params::of_checked_names(params);
        let execute = Self {
            timeout: params.seconds("timeout")?,
            idle_timeout: params.seconds("idle_timeout")?,
            cwd: params.text("cwd")?,
            env: params.variables("env")?,
            max_output_bytes: params.positive("max_output_bytes")?,
            max_line_bytes: params.positive("max_line_bytes")?,
            max_memory_bytes: params.positive("max_memory_bytes")?,
            max_processes: params.positive("max_processes")?,
            max_cpu_percent: params.positive("max_cpu_percent")?,
            max_open_files: params.positive("max_open_files")?,
            label: params.text("label")?,
            detach: params.flag("detach")?.unwrap_or(false),
            program: Program::from_params(&mut params)?,
            ignored_params,
        };
        if execute.label.as_ref().is_some_and(|label| label.len() > LABEL_BYTES_LIMIT) {
            return Err(invalid("label", &format!("must be at most {LABEL_BYTES_LIMIT} bytes")));
        }
        Ok(execute)
    }
}

impl Program {
    fn from_params(params: &mut Params) -> Result<Self, ErrorObject> {
        if let Some(command) = params.text("command")? {
            if command.trim().is_empty() {
                return Err(invalid("command", "must not be empty"));
            }
            return Ok(Self::Command { command });
        }
        if params.contains("argv") {
            let argv = params.texts("argv")?;
            if argv.first().is_none_or(String::is_empty) {
                return Err(invalid("argv", "must begin with the name of a program"));
            }
            return Ok(Self::Argv { argv });
        }
        // A prompt goes by standard input, so it may hold anything.
        let prompt = params.any_text("prompt")?.unwrap_or_default();
        if is_blank(&prompt) {
            return Err(invalid("prompt", "must not be empty"));
        }
        let resume_claude_session = params.text("resume_claude_session")?;
        if let Some(id) = &resume_claude_session {
            check_claude_session(id)?;
        }
        Ok(Self::Prompt(Box::new(Prompt {
            prompt,
            model: params.text("model")?,
            allowed_tools: params.texts("allowed_tools")?,
            permission_mode: params.text("permission_mode")?,
            append_system_prompt: params.text("append_system_prompt")?,
            max_turns: params.positive("max_turns")?,
            resume_claude_session,
            extra_args: params.texts("extra_args")?,
        })))
    }
}

/// An id of a conversation stands where the CLI also takes options.
fn check_claude_session(id: &str) -> Result<(), ErrorObject> {
    let wrong = |what| Err(invalid("resume_claude_session", what));
    if is_blank(id) {
        return wrong("must not be empty: it is the claude_session_id of an earlier result");
    }
    if id.starts_with('-') {
        return wrong(
            "must not begin with '-': it is the claude_session_id of an earlier result, not an option",
        );
    }
    Ok(())
}

/// Whether a text has nothing that can be seen: it is empty, or has only white space, control characters and
/// characters without a width. An agent that is started with such a prompt costs money for nothing.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| {
        let has_no_shape = matches!(
            letter,
            '\u{ad}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
        );
        letter.is_whitespace() || letter.is_control() || has_no_shape
    })
}

/// Refuses unknown parameters; in the predecessor's form removes and returns them.
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
    if let Some(unknown) = legacy::take_unknown(params, &COMMON_PARAMS) {
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
        if name == legacy::IGNORED_PARAM {
            continue;
        }
        return Err(unknown_name(name));
    }
    Ok(Vec::new())
}

fn unknown_name(name: &str) -> ErrorObject {
    let known: Vec<&str> = COMMON_PARAMS.iter().chain(&PROMPT_PARAMS).copied().collect();
    let listed =
        format!("{} and, with prompt, {}", COMMON_PARAMS.join(", "), PROMPT_PARAMS.join(", "));
    unknown(name, &known, &listed)
}

#[cfg(test)]
mod tests;
