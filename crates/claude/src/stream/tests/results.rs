//! What is read of result lines.

use super::*;

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
fn of_several_results_the_last_one_says_how_it_went_and_turns_add_up() {
    let seen = observe(fixture!("background_task"));
    assert_eq!(seen.results, 2);
    assert_eq!(result_of(&seen).num_turns, Some(3));
    let last_fails = format!("{}{}", fixture!("bash_tool"), fixture!("max_turns"));
    assert!(result_of(&observe(&last_fails)).is_error);
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
