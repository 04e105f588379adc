//! What of a client's calls is written to the audit log: all that does something, and every refusal for want of a
//! scope. Looking is not, but for attaching.

use cc_protocol::{
    error::ErrorObject,
    execute::{Execute, Program},
};
use serde_json::{Map, Value};

use crate::{config::limits, ops::audit::Entry, session::handler::Handler};

/// Calls that change nothing and show no output as it comes.
const NOT_WRITTEN: &[&str] = &[
    "session.configure",
    "task.get",
    "task.list",
    "task.output",
    "task.detach",
    "batch.get",
    "batch.list",
    "batch.rows",
    "batch.result",
    "batch.detach",
    "gate.list",
    "supervisor.status",
    "worker.list",
    "hook_status",
    "ping",
    "pong",
];

/// What a call is about, taken from its parameters before they are used up.
#[derive(Debug)]
pub(super) struct Subject {
    method: String,
    session_id: Option<String>,
    task_id: Option<String>,
    batch_id: Option<String>,
    gate_id: Option<String>,
    command: Option<String>,
}

impl Subject {
    pub(super) fn of(method: &str, params: &Map<String, Value>) -> Self {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        let id = |name: &str| text(name).map(short);
        let argv = params.get("argv").and_then(|argv| argv.get(0)).and_then(Value::as_str);
        let prompt = params.contains_key("prompt").then_some("(prompt)");
        let command = argv.or_else(|| text("command").map(first_word)).or(prompt);
        Self {
            method: short(method),
            session_id: id("session_id"),
            task_id: id("task_id"),
            batch_id: id("batch_id"),
            gate_id: id("gate_id"),
            command: command.filter(|_| method == "execute").map(shown),
        }
    }

    /// Of an `execute` that has waited.
    pub(super) fn of_waiting(execute: &Execute) -> Self {
        let command = match &execute.program {
            Program::Command { command } => first_word(command),
            Program::Argv { argv } => argv.first().map_or("", String::as_str),
            Program::Prompt(_) => "(prompt)",
        };
        let command = Some(shown(command));
        Self { command, ..Self::of("execute", &Map::new()) }
    }
}

/// As far as a shell would see one: what follows may be a secret.
fn first_word(command: &str) -> &str {
    let ends =
        |character: char| character.is_whitespace() || "|&;<>()$`\\\"'{}#".contains(character);
    command.trim_start_matches(ends).split(ends).next().unwrap_or_default()
}

/// A word that sets a variable may hold a secret: its name is enough.
fn shown(word: &str) -> String {
    short(word.split_once('=').map_or(word, |(name, _)| name))
}

fn short(text: &str) -> String {
    text.chars().take(limits::AUDIT_TEXT_CHARS).collect()
}

/// Why a call was refused, without what the client has sent, which follows a colon.
fn reason(error: &ErrorObject) -> &str {
    if error.is_denial() {
        return &error.message;
    }
    error.message.split(':').next().unwrap_or_default()
}

impl Handler {
    /// Writes how a call has ended, if it is one that is written.
    pub(super) fn audit(&self, subject: &Subject, result: &Result<Value, ErrorObject>) {
        let is_written = !NOT_WRITTEN.contains(&&*subject.method);
        if !is_written && !result.as_ref().is_err_and(ErrorObject::is_denial) {
            return;
        }
        let of_result = |name: &str| result.as_ref().ok()?.get(name)?.as_str();
        let reason = result.as_ref().err().map(|error| short(reason(error)));
        let entry = Entry {
            action: &subject.method,
            session_id: Some(subject.session_id.as_deref().unwrap_or(self.id())),
            task_id: subject.task_id.as_deref().or_else(|| of_result("task_id")),
            batch_id: subject.batch_id.as_deref().or_else(|| of_result("batch_id")),
            gate_id: subject.gate_id.as_deref(),
            command: subject.command.as_deref(),
            reason: reason.as_deref(),
            omitted: 0,
        };
        self.services.tasks.audit.record(&self.identity, &entry);
    }
}

#[cfg(test)]
mod tests {
    use cc_protocol::CallError;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_has_nothing_of_what_the_client_has_sent() {
        let refused = CallError::CommandNotAllowed {
            command: "API_KEY=s3cret".to_owned(),
            allowed: vec!["echo".to_owned()],
        };
        assert_eq!(reason(&ErrorObject::from(refused)), "Command not allowed");
    }

    #[test]
    fn of_a_command_the_first_word_is_written_and_never_a_value() {
        for (params, expected) in [
            (json!({"command": "  claude -p 'a secret'"}), "claude"),
            (json!({"command": "API_KEY=s3cret claude"}), "API_KEY"),
            (json!({"command": "true>/dev/null;curl${IFS}-H${IFS}s3cret"}), "true"),
            (json!({"command": "(cd x && make)"}), "cd"),
            (json!({"argv": ["/bin/ls", "-l"]}), "/bin/ls"),
            (json!({"prompt": "a secret"}), "(prompt)"),
        ] {
            let Value::Object(params) = params else { panic!("no object") };
            assert_eq!(Subject::of("execute", &params).command.as_deref(), Some(expected));
        }
        let long = "x".repeat(10_000);
        let Value::Object(params) = json!({"argv": [long], "task_id": long}) else { panic!() };
        let subject = Subject::of("execute", &params);
        assert_eq!(subject.command.unwrap().len(), limits::AUDIT_TEXT_CHARS);
        assert_eq!(subject.task_id.unwrap().len(), limits::AUDIT_TEXT_CHARS);
    }
}
