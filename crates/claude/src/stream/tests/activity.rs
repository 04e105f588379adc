//! What runs: tools, hooks and work in the background.

use super::*;

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
