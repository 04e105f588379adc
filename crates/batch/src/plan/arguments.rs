//! Whether a program can be started with what a task gives it: Linux bounds each argument, and all together.
//!
//! Found when the plan is read, because the task's turn may come in the middle of the night. What results add to a
//! reference is not known here; the start of the task says it then.

use cc_protocol::execute::{Execute, Program, Prompt};

use super::members::Members;
use crate::limits::{ARGUMENT_BYTES_LIMIT, ARGUMENTS_BYTES_LIMIT};

/// What each string costs beside its bytes: the NUL at its end, and a pointer.
const OVERHEAD_BYTES: usize = 1 + size_of::<usize>();

/// One string that the program gets.
struct Argument<'a> {
    /// The member that it comes from.
    field: &'static str,
    /// Which part of the member, where it has several.
    part: Option<String>,
    /// What it is called where the program reads it, such as `--resume=`.
    prefix_bytes: usize,
    text: &'a str,
}

impl Argument<'_> {
    fn bytes(&self) -> usize {
        self.prefix_bytes + self.text.len()
    }
}

/// Notes each member that is too long for one argument, and that all together are.
pub(super) fn check(execute: &Execute, members: &mut Members<'_, '_>) {
    let arguments = arguments(execute);
    let mut is_any_too_long = false;
    for argument in arguments.iter().filter(|argument| argument.bytes() > ARGUMENT_BYTES_LIMIT) {
        is_any_too_long = true;
        let part = argument.part.as_deref().map(|part| format!(" in {part}")).unwrap_or_default();
        let what = format!(
            "has {} bytes{part}; an argument of a program may have at most {ARGUMENT_BYTES_LIMIT}: {}",
            argument.bytes(),
            way_out(argument.field)
        );
        members.mistake(argument.field, what);
    }
    let all: usize = arguments.iter().map(|argument| argument.bytes() + OVERHEAD_BYTES).sum();
    if all > ARGUMENTS_BYTES_LIMIT && !is_any_too_long {
        let largest = arguments.iter().max_by_key(|argument| argument.bytes());
        let field = largest.map_or("argv", |argument| argument.field);
        let what = format!(
            "and the other arguments and variables have {all} bytes together; a program may get at most \
             {ARGUMENTS_BYTES_LIMIT}: {}",
            way_out(field)
        );
        members.mistake(field, what);
    }
}

fn way_out(field: &str) -> &'static str {
    match field {
        "append_system_prompt" => {
            "put it into a file, and give \"extra_args\": [\"--append-system-prompt-file\", FILE]"
        }
        "command" => "put it into a script, and run that",
        _ => "put it into a file, and name that",
    }
}

fn arguments(execute: &Execute) -> Vec<Argument<'_>> {
    let one = |field, text| Argument { field, part: None, prefix_bytes: 0, text };
    let mut arguments = match &execute.program {
        Program::Command { command } => vec![one("command", command.as_str())],
        Program::Argv { argv } => list("argv", argv).collect(),
        Program::Prompt(prompt) => of_prompt(prompt),
    };
    arguments.extend(execute.env.iter().filter_map(|(name, value)| {
        let text = value.as_deref()?;
        Some(Argument {
            field: "env",
            part: Some(name.clone()),
            prefix_bytes: name.len() + 1,
            text,
        })
    }));
    arguments
}

fn of_prompt(prompt: &Prompt) -> Vec<Argument<'_>> {
    let texts = [
        ("model", &prompt.model),
        ("permission_mode", &prompt.permission_mode),
        ("append_system_prompt", &prompt.append_system_prompt),
        ("resume_claude_session", &prompt.resume_claude_session),
    ];
    let texts = texts.into_iter().filter_map(|(field, text)| {
        let text = text.as_deref()?;
        let prefix_bytes = if field == "resume_claude_session" { "--resume=".len() } else { 0 };
        Some(Argument { field, part: None, prefix_bytes, text })
    });
    let lists = list("allowed_tools", &prompt.allowed_tools);
    texts.chain(lists).chain(list("extra_args", &prompt.extra_args)).collect()
}

fn list<'a>(field: &'static str, texts: &'a [String]) -> impl Iterator<Item = Argument<'a>> {
    texts.iter().zip(1..).map(move |(text, number): (_, usize)| Argument {
        field,
        part: Some(format!("element {number}")),
        prefix_bytes: 0,
        text,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Plan;

    fn complaints(task: Value) -> Vec<String> {
        let Value::Object(params) = json!({ "tasks": [task] }) else { panic!("no object") };
        Plan::from_params(params).map_or_else(
            |mistakes| mistakes.list.iter().map(ToString::to_string).collect(),
            |_| Vec::new(),
        )
    }

    #[test]
    fn each_argument_may_be_as_long_as_linux_takes_and_not_a_byte_longer() {
        let longest = "x".repeat(ARGUMENT_BYTES_LIMIT);
        let longer = format!("{longest}x");
        let named = |bytes: usize| longest[..bytes].to_owned();
        for (sound, too_long, place) in [
            (json!({"command": longest}), json!({"command": longer}), "command has 131072 bytes;"),
            (
                json!({"argv": ["a", longest]}),
                json!({"argv": ["a", longer]}),
                "argv has 131072 bytes in element 2;",
            ),
            (
                json!({"prompt": "a", "append_system_prompt": longest}),
                json!({"prompt": "a", "append_system_prompt": longer}),
                "append_system_prompt has 131072 bytes;",
            ),
            (
                json!({"prompt": "a", "extra_args": [longest]}),
                json!({"prompt": "a", "extra_args": [longer]}),
                "extra_args has 131072 bytes in element 1;",
            ),
            (
                json!({"prompt": "a", "resume_claude_session": named(131_062)}),
                json!({"prompt": "a", "resume_claude_session": named(131_063)}),
                "resume_claude_session has 131072 bytes;",
            ),
            (
                json!({"argv": ["a"], "env": {"BIG": named(131_067)}}),
                json!({"argv": ["a"], "env": {"BIG": named(131_068)}}),
                "env has 131072 bytes in BIG;",
            ),
        ] {
            assert_eq!(complaints(sound), [""; 0], "{place}");
            let found = complaints(too_long);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("task 1: {place}")), "{found:?}");
        }
        let found = complaints(json!({"prompt": "a", "append_system_prompt": longer}));
        assert!(found[0].contains("--append-system-prompt-file"), "{found:?}");
        // A prompt goes by standard input.
        assert_eq!(complaints(json!({"prompt": longer})), [""; 0]);
    }

    #[test]
    fn all_arguments_together_have_a_limit_too() {
        let argv = |count: usize| json!({"argv": vec!["x".repeat(100_000); count]});
        assert_eq!(complaints(argv(19)), [""; 0]);
        let found = complaints(argv(20));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("at most 2000000"), "{found:?}");
    }
}
