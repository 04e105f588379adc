//! The observer against lines that the real CLI (2.1.197) printed, and against everything else.

use proptest::prelude::*;

use super::*;
use crate::bounds::{RESULT_BYTES_LIMIT, RESULT_JSON_BYTES_LIMIT, USAGE_BYTES_LIMIT};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/", $name, ".jsonl"))
    };
}

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

fn retries(seen: &Seen) -> Vec<&ClaudeRetry> {
    let mut retries = Vec::new();
    for event in &seen.events {
        if let Event::ClaudeRetrying(retry) = event {
            retries.push(retry);
        }
    }
    retries
}

fn rate_limits(seen: &Seen) -> Vec<(&str, Option<u64>)> {
    let mut limits = Vec::new();
    for event in &seen.events {
        if let Event::RateLimited(report) = event {
            limits.push((report.message.as_str(), report.resets_at_s));
        }
    }
    limits
}

fn token_limits(seen: &Seen) -> Vec<&str> {
    let mut limits = Vec::new();
    for event in &seen.events {
        if let Event::TokenLimited(report) = event {
            limits.push(report.message.as_str());
        }
    }
    limits
}

#[test]
fn a_result_is_read_with_all_that_is_known_of_it() {
    let seen = observe(fixture!("bash_tool"));
    let result = result_of(&seen);
    assert!(!result.is_error);
    assert_eq!(result.result.as_deref(), Some("Answer."));
    assert!(!result.result_truncated);
    assert_eq!(result.api_error_status, None);
    assert_eq!(result.terminal_reason.as_deref(), Some("completed"));
    assert_eq!(result.subtype.as_deref(), Some("success"));
    assert_eq!(result.claude_session_id.as_deref(), Some("00000000-0000-4000-8000-000000000001"));
    assert_eq!(result.num_turns, Some(2));
    assert!(result.total_cost_usd.unwrap() > 0.0);
    assert_eq!(result.usage.as_ref().unwrap()["output_tokens"], 10);
    assert_eq!(result.model.as_deref(), Some("claude-opus-4-8[1m]"));
    assert!(seen.summary.is_stream);
    assert_eq!(seen.events, []);
}

#[test]
fn a_wrong_key_shows_as_retries_and_as_a_refusal() {
    let seen = observe(fixture!("wrong_key"));
    let retries = retries(&seen);
    assert_eq!(retries.len(), 2);
    assert_eq!((retries[0].attempt, retries[0].max_retries), (1, 2));
    assert_eq!(retries[0].retry_delay_ms, 593, "592.937… is rounded");
    assert_eq!(retries[1].error_status, Some(401));
    assert_eq!(retries[1].error.as_deref(), Some("authentication_failed"));
    assert_eq!(seen.events.len(), 2, "a wrong key is no limit");
    assert_eq!(seen.summary.refusal, Some(Refusal::Auth));
    assert_eq!(result_of(&seen).api_error_status, Some(401));
}

#[test]
fn no_login_and_a_forbidden_model_are_refusals_too() {
    for stream in [fixture!("not_logged_in"), fixture!("forbidden")] {
        let seen = observe(stream);
        assert_eq!(seen.summary.refusal, Some(Refusal::Auth));
        assert!(result_of(&seen).is_error);
        assert_eq!(seen.events, []);
    }
}

#[test]
fn no_login_is_recognised_in_the_result_alone_as_older_versions_print_it() {
    let result = fixture!("not_logged_in").lines().last().unwrap();
    assert!(result.contains(r#""type":"result""#));
    assert_eq!(observe(result).summary.refusal, Some(Refusal::Auth));
}

#[test]
fn a_rate_limit_is_reported_when_it_is_new_and_not_with_every_retry() {
    let seen = observe(fixture!("rate_limit"));
    assert_eq!(retries(&seen).len(), 2);
    let text = "API Error: Request rejected (429) · refused for a test: 429";
    assert_eq!(rate_limits(&seen), [("rate_limit", None), (text, None)]);
    assert_eq!(seen.summary.refusal, Some(Refusal::RateLimit));
}

#[test]
fn a_usage_limit_is_reported_with_the_time_of_its_end() {
    let seen = observe(fixture!("usage_limit"));
    let end = Some(1_790_000_000);
    let text = "You've hit your session limit · resets 5:13am (UTC)";
    assert_eq!(rate_limits(&seen), [("five_hour", end), (text, end)]);
}

#[test]
fn a_rate_limit_event_that_allows_the_request_is_no_limit() {
    let seen = observe(fixture!("rate_limit_allowed"));
    assert_eq!(seen.events, []);
    assert_eq!(seen.summary.refusal, None);
}

#[test]
fn token_limits_of_context_and_output_are_reported_once() {
    for stream in [fixture!("prompt_too_long"), fixture!("prompt_over_limit")] {
        let context = observe(stream);
        assert_eq!(token_limits(&context).len(), 1);
        assert!(token_limits(&context)[0].starts_with("Prompt is too long"));
        assert_eq!(context.events.len(), 1);
    }
    let output = observe(fixture!("output_token_limit"));
    assert_eq!(token_limits(&output).len(), 1);
    assert!(token_limits(&output)[0].contains("64000 output token maximum"));
    assert_eq!(output.events.len(), 1);
}

#[test]
fn the_subtype_of_a_failed_result_is_not_believed_and_a_missing_text_is_none() {
    let seen = observe(fixture!("max_turns"));
    let result = result_of(&seen);
    assert!(result.is_error);
    assert_eq!(result.subtype.as_deref(), Some("error_max_turns"));
    assert_eq!(result.terminal_reason.as_deref(), Some("max_turns"));
    assert_eq!(result.result, None);
    assert_eq!(seen.summary.refusal, None);
}

#[test]
fn background_tasks_are_in_flight_from_their_announcement_to_their_end() {
    for stream in [fixture!("background_task"), fixture!("background_task_killed")] {
        let first_result = stream.find(r#"{"type":"result""#).unwrap();
        let line_end = first_result + stream[first_result..].find('\n').unwrap();
        let then = observe(&stream[..=line_end]);
        assert_eq!(then.results, 1);
        assert!(then.background_in_flight);
        assert!(!observe(stream).background_in_flight);
    }
    assert!(!observe(fixture!("subagent")).background_in_flight);
    assert!(!observe(fixture!("bash_tool")).background_in_flight);
}

#[test]
fn of_several_results_the_last_one_says_how_it_went_and_turns_add_up() {
    let seen = observe(fixture!("background_task"));
    assert_eq!(seen.results, 2);
    assert_eq!(result_of(&seen).num_turns, Some(3));
    let last_fails = format!("{}{}", fixture!("bash_tool"), fixture!("max_turns"));
    assert!(result_of(&observe(&last_fails)).is_error);
}

#[test]
fn an_answer_of_the_model_ends_a_refusal() {
    let retry = fixture!("wrong_key").lines().find(|line| line.contains("api_retry")).unwrap();
    let answer = fixture!("bash_tool").lines().find(|line| line.contains("assistant")).unwrap();
    assert_eq!(observe(retry).summary.refusal, Some(Refusal::Auth));
    assert_eq!(observe(&format!("{retry}\n{answer}\n")).summary.refusal, None);
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
fn a_field_of_an_odd_type_does_not_cost_the_rest_of_the_result() {
    let seen = observe(
        r#"{"type":"result","subtype":7,"is_error":"no","api_error_status":"429","num_turns":"3",
           "result":{"a":1},"total_cost_usd":null,"usage":[1],"session_id":["x"],"new":{}}"#
            .replace('\n', "")
            .as_str(),
    );
    let result = result_of(&seen);
    assert!(result.is_error, "a status without a judgement is an error");
    assert_eq!(result.api_error_status, Some(429));
    assert_eq!(result.num_turns, Some(3));
    assert_eq!((&result.result, &result.subtype, &result.claude_session_id), (&None, &None, &None));
    assert_eq!(result.usage, Some(serde_json::json!([1])));
}

#[test]
fn a_result_line_that_is_not_json_is_no_result() {
    for line in [r#"{"type":"result","#, r#"{"type":"result"}x"#, r#"{"type":"result",}"#] {
        assert_eq!(observe(line).results, 0, "{line}");
    }
}

#[test]
fn a_result_that_was_cut_at_the_line_limit_still_says_how_it_went() {
    let line =
        r#"{"type":"result","is_error":true,"api_error_status":429,"result":"a long an[TRUNCATED]"#;
    let mut observer = StreamObserver::new();
    observer.fragment(line.as_bytes(), true, true, true, &mut drop);
    assert_eq!(observer.work().results, 1);
    let result = observer.summary().result.unwrap();
    assert!(result.is_error && result.result_truncated);
    assert_eq!((result.api_error_status, result.result.as_deref()), (Some(429), Some("a long an")));
}

#[test]
fn a_result_is_found_by_its_members_wherever_they_stand_and_whatever_their_size() {
    let answer = "x".repeat(100_000);
    let usage = format!(r#""usage":{{"pad":"{}","output_tokens":7}}"#, "0".repeat(5_000));
    for line in [
        format!(
            r#"{{"is_error":false,{usage},"subtype":"success","result":"{answer}","type":"result"}}"#
        ),
        format!(
            r#"{{"type":"result","subtype":"success",{usage},"result":"{answer}","is_error":false}}"#
        ),
        format!(r#"{{"result":"{answer}",{usage},"ty\u0070e":"resul\u0074","subtype":"success"}}"#),
    ] {
        for piece_bytes in [1_000, 65_536, usize::MAX] {
            let seen = observe_in_pieces(line.as_bytes(), piece_bytes);
            let result = result_of(&seen);
            assert!(!result.is_error && !result.result_truncated);
            assert_eq!(result.result.as_deref(), Some(answer.as_str()));
            assert_eq!(result.usage.as_ref().unwrap()["output_tokens"], 7);
        }
    }
}

#[test]
fn a_denial_counts_whatever_is_missing_of_it() {
    for denials in [r#"[{"tool_name":"Write"}]"#, r#"[{"tool_name":"Write","tool_use_id":null}]"#] {
        let seen = observe(&format!(
            r#"{{"permission_denials":{denials},"result":"no","subtype":"success","type":"result"}}"#
        ));
        assert_eq!(seen.summary.shortfall, Some(Verdict::Denied), "{denials}");
        assert_eq!(result_of(&seen).permission_denials, ["Write"], "{denials}");
    }
}

#[test]
fn a_denied_call_makes_nothing_of_what_another_tool_did() {
    let line = |kind: &str, block: &str| {
        format!(r#"{{"type":"{kind}","message":{{"content":[{block}]}}}}"#)
    };
    let ran = line("assistant", r#"{"type":"tool_use","id":"a","name":"Bash"}"#)
        + "\n"
        + &line("user", r#"{"type":"tool_result","tool_use_id":"a"}"#);
    let denied = r#"{"type":"result","subtype":"success","result":"no","permission_denials":[{"tool_name":"Write","tool_use_id":"b"}]}"#;
    // The denied call itself may be none that was seen.
    assert_eq!(observe(&format!("{ran}\n{denied}\n")).summary.shortfall, None);
    assert_eq!(observe(denied).summary.shortfall, Some(Verdict::Denied));
}

#[test]
fn a_result_whose_kind_is_an_error_is_one_whatever_its_judgement() {
    for subtype in ["error_max_turns", "error_max_budget_usd", "error_of_tomorrow"] {
        let seen = observe(&format!(
            r#"{{"is_error":false,"subtype":"{subtype}","num_turns":5,"type":"result"}}"#
        ));
        assert!(result_of(&seen).is_error, "{subtype}");
    }
}

#[test]
fn a_result_that_is_cut_before_its_type_is_known_by_its_other_members() {
    let line = r#"{"is_error":false,"total_cost_usd":0.25,"num_turns":1,"result":"wwwwwww"#;
    let mut observer = StreamObserver::new();
    observer.fragment(format!("{line}[TRUNCATED]").as_bytes(), true, true, true, &mut drop);
    let result = observer.summary().result.unwrap();
    assert!(!result.is_error && result.result_truncated);
    assert_eq!((result.result.as_deref(), result.total_cost_usd), (Some("wwwwwww"), Some(0.25)));
    // Where the output ended there, nobody knows what the rest would have said; but the run was paid.
    let unfinished = observe(line).summary;
    assert!(unfinished.result.is_none() && unfinished.tool_may_have_run);
    assert_eq!(observe(r#"{"result":"of another program"#).results, 0);
}

#[test]
fn summing_the_conversation_up_is_work_until_it_goes_on() {
    let compacting = r#"{"type":"system","subtype":"status","status":"compacting"}"#;
    let working = |rest: &str| {
        let mut observer = StreamObserver::new();
        for line in [compacting, rest] {
            observer.fragment(line.as_bytes(), true, true, false, &mut drop);
        }
        observer.work().is_working
    };
    assert!(working("{}"));
    for line in [
        r#"{"type":"system","subtype":"status","status":null}"#,
        r#"{"type":"system","subtype":"compact_boundary"}"#,
        r#"{"type":"assistant","message":{"content":[]}}"#,
    ] {
        assert!(!working(line), "{line}");
    }
}

#[test]
fn a_hook_that_runs_is_work() {
    let hook =
        |subtype: &str| format!(r#"{{"type":"system","subtype":"{subtype}","hook_id":"h"}}"#);
    let mut observer = StreamObserver::new();
    observer.fragment(hook("hook_started").as_bytes(), true, true, false, &mut drop);
    assert!(observer.work().is_working);
    observer.fragment(hook("hook_response").as_bytes(), true, true, false, &mut drop);
    assert!(!observer.work().is_working);
}

#[test]
fn a_mark_of_the_encoding_before_a_line_is_none_of_it() {
    let line =
        "\u{feff}{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"4\"}";
    assert_eq!(result_of(&observe(line)).result.as_deref(), Some("4"));
}

#[test]
fn half_an_emoji_costs_one_character_of_the_answer() {
    let line = r#"{"type":"result","subtype":"success","is_error":false,"result":"done \ud83d","usage":{"a":"\ude00"}}"#;
    let seen = observe(line);
    assert_eq!(result_of(&seen).result.as_deref(), Some("done \u{fffd}"));
    assert_eq!(result_of(&seen).usage.as_ref().unwrap()["a"], "\u{fffd}");
}

#[test]
fn a_result_after_which_the_output_ended_in_the_middle_is_no_result() {
    let line =
        r#"{"type":"result","subtype":"success","is_error":false,"result":"an answer that is"#;
    assert_eq!(observe(line).results, 0);
}

#[test]
fn a_long_answer_is_cut_at_a_character_and_says_so() {
    for (letter, kept_bytes) in [
        ("x", RESULT_BYTES_LIMIT),
        ("€", RESULT_BYTES_LIMIT / 3 * 3),
        ("\u{1}", RESULT_JSON_BYTES_LIMIT / 6),
    ] {
        let answer = letter.repeat(400_000);
        let seen = observe(&result_line("result", &answer));
        let result = result_of(&seen);
        assert!(result.result_truncated);
        assert_eq!(result.result.as_deref().unwrap().len(), kept_bytes, "{letter:?}");
    }
    let exact = observe(&result_line("result", &"x".repeat(RESULT_BYTES_LIMIT)));
    assert!(!result_of(&exact).result_truncated);
}

#[test]
fn usage_over_its_limit_is_left_out() {
    for (bytes, kept) in [(USAGE_BYTES_LIMIT - 2, true), (USAGE_BYTES_LIMIT - 1, false)] {
        let line = result_line("usage", &"x".repeat(bytes));
        assert_eq!(result_of(&observe(&line)).usage.is_some(), kept);
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

#[test]
fn it_is_known_for_sure_where_no_tool_ran() {
    for (stream, expected) in [
        (fixture!("bash_tool"), true),
        (fixture!("subagent"), true),
        (fixture!("background_task"), true),
        (fixture!("wrong_key"), false),
        (fixture!("usage_limit"), false),
        (fixture!("rate_limit"), false),
        (fixture!("not_logged_in"), false),
        (r#"{"type":"assistant","message":{"content":[{"type":"text","text":"hi"}]}}"#, false),
        ("plain text about a \"tool_use\"\n", false),
    ] {
        for piece_bytes in [100, usize::MAX] {
            let seen = observe_in_pieces(stream.as_bytes(), piece_bytes);
            assert_eq!(seen.summary.tool_may_have_run, expected, "{stream}");
        }
    }
    // Up to the answer that asks for the tool, and no further: it may run already.
    let cut: String = fixture!("bash_tool").split_inclusive('\n').take(2).collect();
    assert!(observe(&cut).summary.tool_may_have_run);
    let cut: String = fixture!("bash_tool").split_inclusive('\n').take(1).collect();
    assert!(!observe(&cut).summary.tool_may_have_run);
}
