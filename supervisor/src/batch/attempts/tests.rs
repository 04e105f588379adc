use cc_events::{ClaudeResult, WarningKind};
use cc_protocol::batch::TAIL_BYTES_LIMIT;
use serde_json::json;

use super::*;
use crate::batch::attempt_end::{Collector, tests::completed};

fn end(verdict: Verdict) -> JobEnd {
    let mut end = Collector::new().end(Some(completed(verdict, 1)), 20);
    end.result = Some(Box::new(ClaudeResult {
        total_cost_usd: Some(0.5),
        usage: Some(json!({"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 4})),
        ..ClaudeResult::default()
    }));
    end
}

#[test]
fn attempts_add_up_and_an_end_counts_once_and_only_for_its_own_attempt() {
    let mut attempts = Attempts::default();
    attempts.begin("a", 1, 10);
    attempts.end("other", &end(Verdict::Failed));
    assert_eq!(attempts.newest[0].ended_ms, None);
    attempts.end("a", &end(Verdict::Failed));
    attempts.end("a", &end(Verdict::Failed));
    attempts.conclude(Some(99), Verdict::Failed);
    attempts.begin("b", 2, 100);
    attempts.end("b", &end(Verdict::Failed));
    assert_eq!((attempts.cost_usd, attempts.duration_ms), (Some(1.0), Some(20)));
    assert_eq!((attempts.input_tokens, attempts.output_tokens), (6, 8));
    assert_eq!((attempts.cache_read_tokens, attempts.cache_creation_tokens), (4, 0));
    assert_eq!((attempts.starts, attempts.killed_leftovers), (2, 2));
    let newest = &attempts.newest;
    // What was tried again was not final after all.
    assert_eq!(newest[0].class, Some(AttemptClass::Transient));
    assert_eq!((newest[0].wait_until_ms, newest[1].wait_until_ms), (Some(99), None));
    assert_eq!(newest[1].class, Some(AttemptClass::Final));
}

#[test]
fn an_agent_that_reports_no_cost_is_counted_and_a_program_that_is_no_agent_is_not() {
    let mut attempts = Attempts::default();
    let mut unsaid = Collector::new().end(Some(completed(Verdict::TimedOut, -15)), 20);
    attempts.begin("program", 1, 10);
    attempts.end("program", &unsaid);
    assert_eq!((attempts.cost_usd, attempts.unknown_costs), (None, 0));
    unsaid.claude_session_id = Some("c".to_owned());
    attempts.begin("agent", 1, 10);
    attempts.end("agent", &unsaid);
    assert_eq!((attempts.cost_usd, attempts.unknown_costs), (None, 1));
    attempts.begin("said", 2, 10);
    attempts.end("said", &end(Verdict::Failed));
    assert_eq!((attempts.cost_usd, attempts.unknown_costs), (Some(0.5), 1));
}

#[test]
fn earlier_attempts_keep_less_of_their_last_words_and_memory_keeps_none() {
    let with_words = |words: &str| {
        let mut end = end(Verdict::Failed);
        end.completed.as_mut().unwrap().output.bytes = words.len() as u64;
        end.stderr_tail = Some(words.to_owned());
        end
    };
    let long: String = (0..1_000).map(|number| format!("{number}\n")).collect();
    let mut attempts = Attempts::default();
    attempts.begin("a", 1, 10);
    attempts.end("a", &with_words(&long));
    let stored = attempts.clone();
    assert!(!attempts.is_short());
    attempts = attempts.short();
    assert_eq!(attempts.newest[0].stderr_tail, None);
    assert!(attempts.is_short());
    attempts.begin("b", 2, 20);
    attempts.end("b", &with_words("second"));
    attempts.recall(&stored);
    let tails: Vec<&str> =
        attempts.newest.iter().map(|attempt| attempt.stderr_tail.as_deref().unwrap()).collect();
    assert!(tails[0].ends_with("998\n999\n") && tails[0].len() <= EARLIER_TAIL_BYTES_LIMIT);
    assert_eq!(tails[1], "second");
    assert!(!attempts.is_short());
}

/// What is longest in JSON: each byte of it is written as six.
fn longest(bytes: usize) -> String {
    "\u{1}".repeat(bytes)
}

#[test]
fn a_row_fits_a_message_whatever_a_task_has_said() {
    let quotes = |bytes: usize| Some("\"".repeat(bytes));
    let mut end = end(Verdict::Failed);
    let part = ClaudeResultPart {
        origin: Some(longest(5_000)),
        is_error: true,
        result: Some(longest(4_096)),
        num_turns: Some(u64::MAX),
    };
    end.text = Some(longest(RESULT_BYTES_LIMIT));
    end.error = Some(longest(limits::BATCH_ERROR_CHARS));
    end.stdout_tail = quotes(TAIL_BYTES_LIMIT);
    end.stderr_tail = quotes(TAIL_BYTES_LIMIT);
    end.result = Some(Box::new(ClaudeResult {
        usage: Some(json!("x".repeat(64 * 1024))),
        structured_output: Some(json!("x".repeat(STRUCTURED_OUTPUT_BYTES_LIMIT - 2))),
        startup_failure_reason: Some(longest(4_096)),
        api_error: Some(longest(4_096)),
        permission_denials: vec![longest(4_096); 64],
        parts: vec![part; 16],
        ..ClaudeResult::default()
    }));
    let warning = Warning { kind: WarningKind::BackgroundUnfinished, message: longest(4_096) };
    end.completed.as_mut().unwrap().warnings = vec![warning; 32];
    let mut attempts = Attempts::default();
    for number in 0..limits::BATCH_ATTEMPTS_SHOWN {
        let id = format!("0199f3a2-8001-7abc-9def-{number:012}");
        attempts.begin(&id, u32::MAX, u64::MAX);
        attempts.end(&id, &end);
        attempts.conclude(Some(u64::MAX), Verdict::ResourceLimit);
    }
    attempts.recall(&Attempts::default());
    let bytes = serde_json::to_string(&attempts).unwrap().len();
    assert!(bytes < limits::LIST_BYTES, "{bytes}");
    let last = attempts.last.unwrap();
    assert_eq!(last.warnings.len(), 32);
    assert!(last.structured_output.is_some());
}

#[test]
fn an_attempt_that_never_began_leaves_no_trace_and_of_very_many_the_newest_are_kept() {
    let mut attempts = Attempts::default();
    attempts.begin("a", 1, 10);
    attempts.never_began("other");
    assert_eq!(attempts.starts, 1);
    attempts.never_began("a");
    assert_eq!(attempts, Attempts::default());
    for number in 0..=limits::BATCH_ATTEMPTS_SHOWN {
        attempts.begin(&number.to_string(), 1, 0);
    }
    assert_eq!(attempts.newest.len(), limits::BATCH_ATTEMPTS_SHOWN);
    assert_eq!(attempts.newest[0].task_id, "1");
    assert_eq!(attempts.starts, limits::BATCH_ATTEMPTS_SHOWN as u64 + 1);
}

#[test]
fn a_record_is_found_by_the_conversation_whose_total_it_has() {
    let id = "5f3c9f0e-6b1d-4c2a-9d53-2b7f64c1a001";
    let sums = Sums { cost_usd: Some(1.5), ..Sums::default() };
    let session = Some(SessionTotal { claude_session_id: id.to_owned(), sums });
    let attempts = Attempts { session, ..Default::default() };
    let stored = serde_json::to_string(&attempts).unwrap();
    assert!(stored.contains(&Attempts::session_mark(id)), "{stored}");
    assert!(!stored.contains(&Attempts::session_mark("another")), "{stored}");
}

#[test]
fn the_stored_json_keeps_its_field_names() {
    let mut attempts = Attempts::default();
    attempts.begin("a", 1, 10);
    attempts.last = Some(LastAttempt::default());
    let stored = serde_json::to_value(&attempts).unwrap();
    let mut names: Vec<&str> = stored.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "attempts",
        "cache_creation_tokens",
        "cache_read_tokens",
        "cost_usd",
        "duration_ms",
        "error",
        "input_tokens",
        "killed_leftovers",
        "last",
        "limit",
        "output_tokens",
        "starts",
        "timeout_s",
        "timeout_why",
        "unknown_costs",
        "warnings",
    ];
    assert_eq!(names, expected);
    assert_eq!(stored["attempts"][0]["task_id"], "a");
    assert_eq!(serde_json::from_value::<Attempts>(stored).unwrap(), attempts);
}
