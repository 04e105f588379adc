//! The observer against lines that the real CLI (2.1.197) printed, and against everything else.

use cc_events::{ClaudeResult, ClaudeRetry, Verdict};
use proptest::prelude::*;

use super::{reports::EVENTS_LIMIT, *};
use crate::bounds::{RESULT_BYTES_LIMIT, RESULT_JSON_BYTES_LIMIT, USAGE_BYTES_LIMIT};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../fixtures/", $name, ".jsonl"))
    };
}

mod activity;
mod refusals;
mod results;

const FIXTURES: &[&str] = &[
    fixture!("background_task"),
    fixture!("background_task_killed"),
    fixture!("bash_tool"),
    fixture!("forbidden"),
    fixture!("max_turns"),
    fixture!("not_logged_in"),
    fixture!("output_token_limit"),
    fixture!("prompt_over_limit"),
    fixture!("prompt_too_long"),
    fixture!("rate_limit"),
    fixture!("rate_limit_allowed"),
    fixture!("subagent"),
    fixture!("usage_limit"),
    fixture!("wrong_key"),
];

struct Seen {
    events: Vec<Event>,
    summary: Summary,
    results: u64,
    background_in_flight: bool,
}

/// Feeds each line as pieces of at most `piece_bytes`.
fn observe_in_pieces(stream: &[u8], piece_bytes: usize) -> Seen {
    let mut observer = StreamObserver::new();
    let mut events = Vec::new();
    for line in stream.split_inclusive(|&byte| byte == b'\n') {
        let pieces = line.len().div_ceil(piece_bytes);
        for (index, piece) in line.chunks(piece_bytes).enumerate() {
            observer.fragment(piece, index == 0, index + 1 == pieces, false, &mut |event| {
                events.push(event);
            });
        }
    }
    Seen {
        events,
        results: observer.work().results,
        background_in_flight: observer.work().is_background_in_flight,
        summary: observer.summary(),
    }
}

fn observe(stream: &str) -> Seen {
    observe_in_pieces(stream.as_bytes(), usize::MAX)
}

fn result_line(field: &str, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(r#"{{"type":"result","subtype":"success","{field}":{text}}}"#)
}

fn result_of(seen: &Seen) -> &ClaudeResult {
    seen.summary.result.as_ref().unwrap()
}

#[test]
fn ordinary_text_never_counts_whatever_words_it_contains() {
    let words = r#"rate limit token limit 429 401 Done! {"type":"result","is_error":true}"#;
    let quoted = serde_json::to_string(words).unwrap();
    let model = r#""model":"claude-opus-4-8""#;
    for line in [
        words.to_owned(),
        format!(r#"{{"type":"assistant","message":{{{model},"content":[{{"text":{quoted}}}]}}}}"#),
        format!(r#"{{"type":"user","message":{{"content":{quoted}}},"error":"rate_limit"}}"#),
        format!(r#"{{"type":"assistant","message":{{{model}}},"error":"rate_limit"}}"#),
        format!(r#"{{"text":{quoted}}}"#),
        format!(r#"{{"outer":{{"type":"result","is_error":true,"result":{quoted}}}}}"#),
    ] {
        let seen = observe(&line);
        // But for the line's own type: to the CLI a user line is what a tool did.
        let tool_may_have_run = line.starts_with(r#"{"type":"user""#);
        let last_text = seen.summary.last_text.clone();
        let expected = Summary { tool_may_have_run, last_text, ..Summary::default() };
        assert_eq!(seen.summary, expected, "{line}");
        assert_eq!(seen.events, [], "{line}");
        assert_eq!(seen.results, 0, "{line}");
    }
}

#[test]
fn a_stream_can_cause_only_so_many_events_and_so_much_memory() {
    let mut observer = StreamObserver::new();
    let mut events = 0;
    for task in 0..2_000 {
        let retry = br#"{"type":"system","subtype":"api_retry","attempt":1}"#;
        observer.fragment(retry, true, true, false, &mut |_| events += 1);
        let started = format!(r#"{{"type":"system","subtype":"task_started","task_id":"{task}"}}"#);
        observer.fragment(started.as_bytes(), true, true, false, &mut |_| events += 1);
    }
    assert_eq!(events, EVENTS_LIMIT);
    assert_eq!(observer.reader.activity.tasks(), crate::activity::FOLLOWED_LIMIT);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        flags in proptest::collection::vec(any::<(bool, bool, bool)>(), 1..50),
    ) {
        let mut observer = StreamObserver::new();
        let size = bytes.len().div_ceil(flags.len()).max(1);
        for (piece, (starts, ends, truncated)) in bytes.chunks(size).zip(flags) {
            observer.fragment(piece, starts, ends, truncated, &mut drop);
        }
    }

    #[test]
    fn mutilated_streams_never_panic_and_never_succeed_by_accident(
        fixture in proptest::sample::select(FIXTURES),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut stream = fixture.as_bytes().to_vec();
        let at = at.index(stream.len());
        stream[at] = byte;
        let mut observer = StreamObserver::new();
        for line in stream.split_inclusive(|&byte| byte == b'\n') {
            observer.fragment(line, true, true, line.len() % 2 == 0, &mut drop);
        }
        prop_assert_eq!(observer.work().results > 0, observer.summary().result.is_some());
    }

    #[test]
    fn where_a_stream_is_cut_into_pieces_makes_no_difference(
        fixture in proptest::sample::select(FIXTURES),
        piece_bytes in 1usize..3000,
    ) {
        let whole = observe(fixture);
        let pieces = observe_in_pieces(fixture.as_bytes(), piece_bytes);
        prop_assert_eq!(whole.events, pieces.events);
        prop_assert_eq!(whole.summary, pieces.summary);
        prop_assert_eq!(whole.results, pieces.results);
        prop_assert_eq!(whole.background_in_flight, pieces.background_in_flight);
    }
}
