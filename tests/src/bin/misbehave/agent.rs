//! A Claude Code CLI that misbehaves: speaks its `stream-json` and fails in the ways that its users
//! have reported. The first words of the prompt say how.

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use nix::unistd::pause;
use serde_json::{Value, json};

/// Reads the prompt from standard input, as `claude -p` does, and plays it.
pub fn agent() -> ExitCode {
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).unwrap();
    print(&json!({
        "type": "system", "subtype": "init", "cwd": "/", "session_id": SESSION,
        "tools": ["Bash"], "model": "claude-test-1",
    }));
    let (play, text) = prompt.split_once(": ").unwrap_or(("say", &prompt));
    match play {
        "say" => {
            print(&json!({
                "type": "assistant", "session_id": SESSION,
                "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            }));
            print(&result(text));
        }
        "count bytes" => print(&result(&text.len().to_string())),
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
        "status 401" => {
            print(&retry(1, 401, "authentication_failed"));
            print(&failure(json!(401), "Failed to authenticate. API Error: 401"));
            return ExitCode::from(1);
        }
        "status 429" => {
            print(&retry(1, 429, "rate_limit"));
            print(&failure(json!(429), "API Error: Request rejected (429)"));
            return ExitCode::from(1);
        }
        // Ten retries with doubling delays: for a minute there is no result.
        "retry without end" => {
            print(&retry(1, 401, "authentication_failed"));
            pause();
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
        unknown => panic!("no such play: {unknown}"),
    }
    ExitCode::SUCCESS
}

const SESSION: &str = "00000000-0000-4000-8000-000000000001";

fn result(text: &str) -> Value {
    json!({
        "type": "result", "subtype": "success", "is_error": false, "api_error_status": null,
        "duration_ms": 5, "num_turns": 1, "result": text, "stop_reason": "end_turn",
        "session_id": SESSION, "total_cost_usd": 0.25, "usage": {"output_tokens": 7},
        "permission_denials": [], "terminal_reason": "completed",
    })
}

fn failure(status: Value, text: &str) -> Value {
    let mut line = result(text);
    line["is_error"] = json!(true);
    line["api_error_status"] = status;
    line
}

fn retry(attempt: u64, status: u64, error: &str) -> Value {
    json!({
        "type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 10,
        "retry_delay_ms": 500, "error_status": status, "error": error, "session_id": SESSION,
    })
}

/// As the CLI does, with `type` before everything else.
fn print(line: &Value) {
    let kind = &line["type"];
    let mut rest = line.as_object().unwrap().clone();
    rest.remove("type");
    let rest = Value::Object(rest).to_string();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{{\"type\":{kind},{}", &rest[1..]).unwrap();
    stdout.flush().unwrap();
}
