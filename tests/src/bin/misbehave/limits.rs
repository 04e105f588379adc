//! A usage limit in the forms in which versions of the CLI tell of it: as it was recorded from the real
//! one where a login meets a limit, and in the texts of older ones.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::agent::{SESSION, failure, print};

const DAY_S: u64 = 86_400;
/// Asia/Kolkata, which has no summer time: 5:30 ahead of UTC.
const KOLKATA_AHEAD_S: u64 = 19_800;

/// An event of the stream names the second, and the result says it in words without one.
pub fn in_an_event(seconds: u64) -> ExitCode {
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
pub fn in_words(seconds: u64) -> ExitCode {
    let time = (now_s() + seconds + KOLKATA_AHEAD_S) % DAY_S;
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    let half = if hour < 12 { "am" } else { "pm" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    let time = format!("{hour}:{minute:02}:{second:02}{half}");
    refused(&format!("You've hit your limit · resets {time} (Asia/Kolkata)"))
}

/// Only the result tells it, as the oldest versions did.
pub fn after_a_bar(seconds: u64) -> ExitCode {
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
