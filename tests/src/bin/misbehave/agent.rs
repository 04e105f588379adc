//! A Claude Code CLI that misbehaves: speaks its `stream-json` and fails in the ways that its users
//! have reported. The first words of the prompt say how.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use cc_tests::ledger::Ledger;
use nix::unistd::pause;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{family, pipes, refusals};

/// The text of a prompt that begins with `script: `: another play for each start.
#[derive(Debug, Deserialize)]
struct Script {
    /// Where starts and ends are noted.
    ledger: PathBuf,
    name: String,
    /// For the first start, the second, …; the last one also for all after it.
    plays: Vec<String>,
}

/// Reads the prompt from standard input, as `claude -p` does, and plays it.
pub fn agent() -> ExitCode {
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).unwrap();
    print(&json!({
        "type": "system", "subtype": "init", "cwd": "/", "session_id": SESSION,
        "tools": ["Bash"], "model": "claude-test-1",
    }));
    let Some(script) = prompt.strip_prefix("script: ") else { return play(&prompt) };
    let script: Script = serde_json::from_str(script).unwrap();
    let ledger = Ledger::at(&script.ledger);
    let start = ledger.note_start(&script.name);
    let exit_code = play(&script.plays[start.min(script.plays.len()) - 1]);
    ledger.note_end(&script.name);
    exit_code
}

fn play(prompt: &str) -> ExitCode {
    let (play, text) = prompt.split_once(": ").unwrap_or(("say", prompt));
    match play {
        "say" => {
            print(&json!({
                "type": "assistant", "session_id": SESSION,
                "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            }));
            print(&result(text));
        }
        // Whatever a stream may say, and when: a JSON list of lines, of seconds to be silent, and of "hang".
        "stream" => stream(&serde_json::from_str::<Vec<Value>>(text).unwrap()),
        "count bytes" => print(&result(&text.len().to_string())),
        "size of stdout" => print(&result(&pipes::size_of_stdout())),
        "arguments" => {
            let arguments: Vec<String> = std::env::args().collect();
            print(&result(&arguments.join("\u{1f}")));
        }
        // The network went away, the process was confused: exit 0 and not a word.
        "no result" => {}
        "no result and fail" => return ExitCode::from(1),
        // A tool or an MCP server keeps the event loop alive after the answer.
        "result without exit" => {
            print(&result(text));
            pause();
        }
        // Background tasks that finish later make the CLI print a second result.
        "two results" => {
            print(&result("the first"));
            print(&result(text));
        }
        "error" => {
            print(&failure(Value::Null, text));
            return ExitCode::from(1);
        }
        // Says error in its result, and yet exits with 0.
        "error with exit 0" => print(&failure(Value::Null, text)),
        // It did something, and then was not heard of again.
        "no result after a tool" => {
            print(&tool_use("touch something"));
            print(&tool_result());
        }
        "wait for" => {
            wait_for_line(text);
            print(&result("waited"));
        }
        "leave a family" => {
            family::setsid_sleepers(2, "exit", "left-by-an-agent");
            print(&result(text));
        }
        // The words that made the predecessor raise notifications, in ordinary text.
        "talk about limits" => {
            let text =
                "The token limit was exceeded. Done! Rate limit exceeded: 429. Task complete.";
            println!("{text}");
            print(&result(text));
        }
        // Hangs before the first token.
        "silence" => {
            pause();
        }
        other => return refusals::play(other, text),
    }
    ExitCode::SUCCESS
}

fn stream(steps: &[Value]) {
    for step in steps {
        match step.as_f64() {
            Some(seconds) => std::thread::sleep(Duration::from_secs_f64(seconds)),
            None if step.is_string() => pause(),
            None => print(step),
        }
    }
}

pub fn wait_for_line(path: &str) {
    let mut line = String::new();
    BufReader::new(File::open(path).unwrap()).read_line(&mut line).unwrap();
}

pub const SESSION: &str = "00000000-0000-4000-8000-000000000001";

pub fn result(text: &str) -> Value {
    json!({
        "type": "result", "subtype": "success", "is_error": false, "api_error_status": null,
        "duration_ms": 5, "num_turns": 1, "result": text, "stop_reason": "end_turn",
        "session_id": SESSION, "total_cost_usd": 0.25, "usage": {"output_tokens": 7},
        "permission_denials": [], "terminal_reason": "completed",
    })
}

pub fn failure(status: Value, text: &str) -> Value {
    let mut line = result(text);
    line["is_error"] = json!(true);
    line["api_error_status"] = status;
    line
}

fn tool_use(command: &str) -> Value {
    json!({"type": "assistant", "session_id": SESSION, "message": {"role": "assistant", "content": [
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": command}},
    ]}})
}

fn tool_result() -> Value {
    json!({"type": "user", "session_id": SESSION, "message": {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"},
    ]}})
}

/// As the CLI does: with `type` before everything else, but for a result line, where newer versions write it last.
pub fn print(line: &Value) {
    let kind = &line["type"];
    let mut rest = line.as_object().unwrap().clone();
    rest.remove("type");
    let rest = Value::Object(rest).to_string();
    let members = &rest[1..rest.len() - 1];
    let mut stdout = std::io::stdout().lock();
    if kind == "result" {
        writeln!(stdout, "{{{members},\"type\":{kind}}}").unwrap();
    } else {
        writeln!(stdout, "{{\"type\":{kind},{members}}}").unwrap();
    }
    stdout.flush().unwrap();
}
