//! What the API refuses, as the CLI tells it: recorded from the real one where it can be had, and in the
//! texts of older ones.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::unistd::pause;
use serde_json::{Value, json};

use crate::agent::{SESSION, failure, print, result, wait_for_line};

const DAY_S: u64 = 86_400;
/// Asia/Kolkata, which has no summer time: 5:30 ahead of UTC.
const KOLKATA_AHEAD_S: u64 = 19_800;

pub fn play(play: &str, text: &str) -> ExitCode {
    match play {
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
            for attempt in 1..=3 {
                print(&retry(attempt, 401, "authentication_failed"));
            }
            pause();
        }
        "status 500" | "status 529" => {
            let status: u64 = play["status ".len()..].parse().unwrap();
            print(&retry(1, status, "server_error"));
            print(&failure(
                json!(status),
                &format!("API Error: {status} the server's own trouble"),
            ));
            return ExitCode::from(1);
        }
        "connection error" => {
            print(&failure(Value::Null, "API Error: Connection error."));
            return ExitCode::from(1);
        }
        "limit for seconds" => return in_an_event(text.parse().unwrap()),
        "limit in words for seconds" => return in_words(text.parse().unwrap()),
        "limit after a bar for seconds" => return after_a_bar(text.parse().unwrap()),
        // The loop ended at a limit of its own, which was given on the command line.
        "max turns" => {
            let mut line = failure(Value::Null, "Reached maximum number of turns (1)");
            line["subtype"] = json!("error_max_turns");
            line["terminal_reason"] = json!("max_turns");
            print(&line);
            return ExitCode::from(1);
        }
        // Somebody renews the key while it tries.
        "retry until" => {
            print(&retry(1, 401, "authentication_failed"));
            wait_for_line(text);
            print(&result("at last"));
        }
        unknown => panic!("no such play: {unknown}"),
    }
    ExitCode::SUCCESS
}

fn retry(attempt: u64, status: u64, error: &str) -> Value {
    json!({
        "type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 10,
        "retry_delay_ms": 500, "error_status": status, "error": error, "session_id": SESSION,
    })
}

/// An event of the stream names the second, and the result says it in words without one.
fn in_an_event(seconds: u64) -> ExitCode {
    print(&json!({
        "type": "rate_limit_event", "session_id": SESSION,
        "rate_limit_info": {
            "status": "rejected", "resetsAt": now_s() + seconds, "rateLimitType": "five_hour",
            "isUsingOverage": false,
        },
    }));
    refused("You've hit your session limit")
}

/// Only the result tells it, as a time of day in a zone.
fn in_words(seconds: u64) -> ExitCode {
    let time = (now_s() + seconds + KOLKATA_AHEAD_S) % DAY_S;
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    let half = if hour < 12 { "am" } else { "pm" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    let time = format!("{hour}:{minute:02}:{second:02}{half}");
    refused(&format!("You've hit your limit · resets {time} (Asia/Kolkata)"))
}

/// Only the result tells it, as the oldest versions did.
fn after_a_bar(seconds: u64) -> ExitCode {
    refused(&format!("Claude AI usage limit reached|{}", now_s() + seconds))
}

fn refused(text: &str) -> ExitCode {
    let mut line = failure(json!(429), text);
    line["total_cost_usd"] = json!(0);
    print(&line);
    ExitCode::from(1)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
