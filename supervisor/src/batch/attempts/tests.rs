use cc_events::{ClaudeResult, WarningKind};
use cc_protocol::batch::TAIL_BYTES_LIMIT;
use serde_json::json;

use super::*;
use crate::batch::attempt_end::{Collector, tests::completed};

fn end(verdict: Verdict) -> End {
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
    let mut record = Record::default();
    record.begin("a", 1, 10);
    record.end("other", &end(Verdict::Failed));
    assert_eq!(record.attempts[0].ended_ms, None);
    record.end("a", &end(Verdict::Failed));
    record.end("a", &end(Verdict::Failed));
    record.conclude(Some(99), Verdict::Failed);
    record.begin("b", 2, 100);
    record.end("b", &end(Verdict::Failed));
    assert_eq!((record.cost_usd, record.duration_ms), (Some(1.0), Some(20)));
    assert_eq!((record.input_tokens, record.output_tokens), (6, 8));
    assert_eq!((record.cache_read_tokens, record.cache_creation_tokens), (4, 0));
    assert_eq!((record.starts, record.killed_leftovers), (2, 2));
    let attempts = &record.attempts;
    // What was tried again was not final after all.
    assert_eq!(attempts[0].class, Some(AttemptClass::Transient));
    assert_eq!((attempts[0].wait_until_ms, attempts[1].wait_until_ms), (Some(99), None));
    assert_eq!(attempts[1].class, Some(AttemptClass::Final));
}

#[test]
fn an_agent_whose_cost_nobody_said_is_counted_and_a_program_that_is_none_is_not() {
    let mut record = Record::default();
    let mut unsaid = Collector::new().end(Some(completed(Verdict::TimedOut, -15)), 20);
    record.begin("program", 1, 10);
    record.end("program", &unsaid);
    assert_eq!((record.cost_usd, record.unknown_costs), (None, 0));
    unsaid.claude_session_id = Some("c".to_owned());
    record.begin("agent", 1, 10);
    record.end("agent", &unsaid);
    assert_eq!((record.cost_usd, record.unknown_costs), (None, 1));
    record.begin("said", 2, 10);
    record.end("said", &end(Verdict::Failed));
    assert_eq!((record.cost_usd, record.unknown_costs), (Some(0.5), 1));
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
    let mut record = Record::default();
    record.begin("a", 1, 10);
    record.end("a", &with_words(&long));
    let stored = record.clone();
    assert!(!record.is_short());
    record = record.short();
    assert_eq!(record.attempts[0].stderr_tail, None);
    assert!(record.is_short());
    record.begin("b", 2, 20);
    record.end("b", &with_words("second"));
    record.recall(&stored);
    let tails: Vec<&str> =
        record.attempts.iter().map(|attempt| attempt.stderr_tail.as_deref().unwrap()).collect();
    assert!(tails[0].ends_with("998\n999\n") && tails[0].len() <= EARLIER_TAIL_BYTES_LIMIT);
    assert_eq!(tails[1], "second");
    assert!(!record.is_short());
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
    let mut record = Record::default();
    for number in 0..limits::BATCH_ATTEMPTS_SHOWN {
        let id = format!("0199f3a2-8001-7abc-9def-{number:012}");
        record.begin(&id, u32::MAX, u64::MAX);
        record.end(&id, &end);
        record.conclude(Some(u64::MAX), Verdict::ResourceLimit);
    }
    record.recall(&Record::default());
    let bytes = serde_json::to_string(&record).unwrap().len();
    assert!(bytes < limits::LIST_BYTES, "{bytes}");
    let last = record.last.unwrap();
    assert_eq!(last.warnings.len(), 32);
    assert!(last.structured_output.is_some());
}

#[test]
fn an_attempt_that_never_began_leaves_no_trace_and_of_very_many_the_newest_are_kept() {
    let mut record = Record::default();
    record.begin("a", 1, 10);
    record.never_began("other");
    assert_eq!(record.starts, 1);
    record.never_began("a");
    assert_eq!(record, Record::default());
    for number in 0..=limits::BATCH_ATTEMPTS_SHOWN {
        record.begin(&number.to_string(), 1, 0);
    }
    assert_eq!(record.attempts.len(), limits::BATCH_ATTEMPTS_SHOWN);
    assert_eq!(record.attempts[0].task_id, "1");
    assert_eq!(record.starts, limits::BATCH_ATTEMPTS_SHOWN as u64 + 1);
}
