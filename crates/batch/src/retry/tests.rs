use cc_events::{ClaudeResult, ClaudeRetry, Completed, EndReason, OutputCounts, Verdict};

use super::*;

fn completed(verdict: Verdict, reason: EndReason, exit_code: i32) -> Completed {
    Completed {
        pid: 1,
        reason,
        verdict,
        exit_code,
        signal: None,
        error: None,
        duration_ms: 1,
        cpu_ms: 1,
        max_rss_bytes: 1,
        output: OutputCounts::default(),
        killed_leftovers: 0,
        unkillable: 0,
        warnings: Vec::new(),
        claude: None,
        spawn_failure: None,
    }
}

fn error(status: Option<u64>, text: &str) -> ClaudeResult {
    ClaudeResult {
        is_error: true,
        api_error_status: status,
        result: Some(text.to_owned()),
        total_cost_usd: Some(0.5),
        ..ClaudeResult::default()
    }
}

/// The class of an attempt that exited with 1.
fn class(verdict: Verdict, result: Option<&ClaudeResult>, tool_use: ToolUse) -> Class {
    let completed = completed(verdict, EndReason::Exit, 1);
    classify(&Evidence {
        completed: &completed,
        result,
        last_retry: None,
        usage_limit: None,
        dead_end: None,
        want: None,
        tool_use,
    })
}

fn transient(cause: Transient) -> Class {
    Class::Transient { cause }
}

fn never(cause: Never) -> Class {
    Class::Never { cause }
}

#[test]
fn a_limit_that_was_met_is_the_verdict_also_where_no_status_says_so() {
    let result = error(None, "5-hour limit reached");
    let completed = completed(Verdict::Failed, EndReason::Exit, 1);
    let of = |usage_limit, dead_end| {
        AttemptEnd::of(&Evidence {
            completed: &completed,
            result: Some(&result),
            last_retry: None,
            usage_limit,
            dead_end,
            want: None,
            tool_use: ToolUse::NoTool,
        })
    };
    let limit = Some(UsageLimit { ends_at_ms: None });
    assert_eq!(of(limit, None).verdict, Verdict::RateLimited);
    assert_eq!(of(None, None).verdict, Verdict::Failed);
    let end = of(limit, Some(DeadEnd::LongContext));
    assert_eq!((end.verdict, end.class), (Verdict::Account, never(Never::LongContext)));
}

#[test]
fn every_verdict_has_its_class() {
    for (verdict, expected) in [
        (Verdict::Succeeded, Class::Done),
        (Verdict::Failed, never(Never::Failed)),
        (Verdict::NoResult, never(Never::NoResultAfterTool)),
        (Verdict::Auth, never(Never::Auth)),
        (Verdict::RateLimited, transient(Transient::RateLimit)),
        (Verdict::TimedOut, Class::TimedOut),
        (Verdict::Canceled, never(Never::Canceled)),
        (Verdict::OutputLimit, never(Never::OutputLimit)),
        (Verdict::SpawnFailed, never(Never::SpawnFailed)),
        (Verdict::WorkerDied, Class::Lost),
        (Verdict::ResourceLimit, never(Never::ResourceLimit)),
    ] {
        assert_eq!(class(verdict, None, ToolUse::Tool), expected, "{verdict:?}");
    }
}

#[test]
fn an_api_failure_is_transient_by_its_status() {
    for (status, text, expected) in [
        (Some(500), "API Error: 500", transient(Transient::Server)),
        (Some(529), "API Error: 529 overloaded", transient(Transient::Server)),
        (Some(400), "API Error: 400", never(Never::Failed)),
        (Some(413), "too large", never(Never::Failed)),
        (None, "API Error: Connection error.", transient(Transient::Connection)),
        (
            None,
            "API Error: Unable to connect to API (ECONNREFUSED)",
            transient(Transient::Connection),
        ),
        (None, "API Error: the model is unknown", never(Never::Failed)),
        (None, "I could not finish: Connection error", never(Never::Failed)),
    ] {
        let result = error(status, text);
        assert_eq!(class(Verdict::Failed, Some(&result), ToolUse::Tool), expected, "{text}");
    }
}

#[test]
fn retries_without_an_answer_explain_an_api_error_without_a_status() {
    let completed = completed(Verdict::Failed, EndReason::Exit, 1);
    let result = error(None, "API Error: something new");
    let retry = |error_status| ClaudeRetry {
        attempt: 10,
        max_retries: 10,
        retry_delay_ms: 1,
        error_status,
        error: None,
    };
    for (status, expected) in
        [(None, transient(Transient::Connection)), (Some(400), never(Never::Failed))]
    {
        let retry = retry(status);
        let evidence = Evidence {
            completed: &completed,
            result: Some(&result),
            last_retry: Some(&retry),
            usage_limit: None,
            dead_end: None,
            want: None,
            tool_use: ToolUse::NoTool,
        };
        assert_eq!(classify(&evidence), expected);
    }
}

#[test]
fn the_clis_own_limits_are_never_tried_again() {
    for (subtype, expected) in [
        ("error_max_turns", Never::MaxTurns),
        ("error_max_budget_usd", Never::Budget),
        ("permission_denied", Never::Permission),
        ("error_during_execution", Never::Failed),
    ] {
        let result = ClaudeResult { subtype: Some(subtype.to_owned()), ..error(None, "") };
        assert_eq!(class(Verdict::Failed, Some(&result), ToolUse::Tool), never(expected));
    }
}

#[test]
fn no_result_is_tried_again_only_while_no_tool_ran() {
    assert_eq!(class(Verdict::NoResult, None, ToolUse::NoTool), transient(Transient::NoResult));
    assert_eq!(class(Verdict::NoResult, None, ToolUse::Tool), never(Never::NoResultAfterTool));
    assert_eq!(class(Verdict::NoResult, None, ToolUse::NotBegun), never(Never::Arguments));
    let killed = completed(Verdict::NoResult, EndReason::Signal, -9);
    let evidence = Evidence {
        completed: &killed,
        result: None,
        last_retry: None,
        usage_limit: None,
        dead_end: None,
        want: None,
        tool_use: ToolUse::NotBegun,
    };
    assert_eq!(classify(&evidence), transient(Transient::NoResult));
}

#[test]
fn a_usage_limit_is_waited_for_and_a_bare_429_is_not() {
    let completed = completed(Verdict::RateLimited, EndReason::Exit, 1);
    let limit = Some(UsageLimit { ends_at_ms: Some(7) });
    let mut evidence = Evidence {
        completed: &completed,
        result: None,
        last_retry: None,
        usage_limit: limit,
        dead_end: None,
        want: None,
        tool_use: ToolUse::Tool,
    };
    assert_eq!(classify(&evidence), Class::Limit { ends_at_ms: Some(7) });
    evidence.usage_limit = None;
    assert_eq!(classify(&evidence), transient(Transient::RateLimit));
}

#[test]
fn a_limit_that_only_the_result_names_is_waited_for_too() {
    let failed = completed(Verdict::Failed, EndReason::Exit, 1);
    let result = error(None, "Claude AI usage limit reached|1790000000");
    let evidence = Evidence {
        completed: &failed,
        result: Some(&result),
        last_retry: None,
        usage_limit: Some(UsageLimit { ends_at_ms: None }),
        dead_end: None,
        want: None,
        tool_use: ToolUse::Tool,
    };
    assert_eq!(classify(&evidence), Class::Limit { ends_at_ms: None });
    let fine = completed(Verdict::Succeeded, EndReason::Exit, 0);
    assert_eq!(classify(&Evidence { completed: &fine, ..evidence }), Class::Done);
}

#[test]
fn a_plain_program_is_tried_again_only_if_it_asks_to_be() {
    let of = |exit_code| {
        let completed = completed(Verdict::Failed, EndReason::Exit, exit_code);
        classify(&Evidence {
            completed: &completed,
            result: None,
            last_retry: None,
            usage_limit: None,
            dead_end: None,
            want: None,
            tool_use: ToolUse::NotBegun,
        })
    };
    assert_eq!(of(75), transient(Transient::Temporary));
    assert_eq!(of(1), never(Never::Failed));
}

#[test]
fn a_task_that_was_ended_for_want_of_a_supervisor_was_interrupted_and_nobody_canceled_it() {
    let lost = completed(Verdict::Canceled, EndReason::SupervisorLost, -15);
    let evidence = Evidence {
        completed: &lost,
        result: None,
        last_retry: None,
        usage_limit: None,
        dead_end: None,
        want: None,
        tool_use: ToolUse::Tool,
    };
    assert_eq!(classify(&evidence), Class::Interrupted);
}

#[test]
fn a_result_and_its_cost_are_noted() {
    let fine = completed(Verdict::Succeeded, EndReason::Exit, 0);
    let mut result = ClaudeResult { is_error: false, ..error(None, "answer") };
    let end = |result: &ClaudeResult| {
        AttemptEnd::of(&Evidence {
            completed: &fine,
            result: Some(result),
            last_retry: None,
            usage_limit: None,
            dead_end: None,
            want: None,
            tool_use: ToolUse::Tool,
        })
    };
    assert!(end(&result).has_result);
    assert_eq!(end(&result).cost_usd, 0.5);
    result.result = None;
    result.total_cost_usd = Some(-1.0);
    assert!(!end(&result).has_result);
    assert_eq!(end(&result).cost_usd, 0.0);
}

#[test]
fn backoff_has_full_jitter_in_a_window_that_doubles_to_five_minutes() {
    for (attempt, window_ms) in [(1, 5_000), (2, 10_000), (3, 20_000), (7, 300_000), (99, 300_000)]
    {
        let waits: Vec<u64> = (0..500)
            .map(|seed| backoff_until_ms(1_000_000, attempt, seed, 0) - 1_000_000)
            .collect();
        let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
        assert!(least >= 1_000 && least < window_ms / 3, "{attempt}: {least}");
        assert!(most <= window_ms && most > window_ms * 9 / 10, "{attempt}: {most}");
    }
}

#[test]
fn a_limit_is_waited_for_until_its_end_and_a_little_longer() {
    const NOW: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;
    for (ends_at_ms, waits, expected) in [
        (Some(NOW + 3 * HOUR), 0, 3 * HOUR),
        (Some(NOW + 3 * HOUR), 9, 3 * HOUR),
        (Some(NOW), 0, 1_000),
        (Some(0), 0, 1_000),
        (Some(u64::MAX), 0, 8 * 24 * HOUR),
        // It said that it was over, and it was not.
        (Some(NOW - 1), 1, 10 * 60_000),
        (None, 0, 5 * 60_000),
        (None, 1, 10 * 60_000),
        (None, 3, 40 * 60_000),
        (None, 4, HOUR),
        (None, 900, HOUR),
    ] {
        for seed in 0..50 {
            let wait_ms = limit_until_ms(NOW, ends_at_ms, waits, seed, 3) - NOW;
            let range = expected..=expected + 30_000;
            assert!(range.contains(&wait_ms), "{ends_at_ms:?} {waits}: {wait_ms}");
        }
    }
}

#[test]
fn a_first_request_that_was_forbidden_once_is_no_final_refusal() {
    let forbidden = |word: Option<&str>, turns| ClaudeResult {
        api_error: word.map(str::to_owned),
        num_turns: Some(turns),
        ..error(Some(403), "API Error: 403")
    };
    let class_of = |result: &ClaudeResult, tool_use| class(Verdict::Auth, Some(result), tool_use);
    let once = forbidden(Some("authentication_failed"), 1);
    assert_eq!(class_of(&once, ToolUse::NoTool), never(Never::Forbidden));
    assert_eq!(class_of(&once, ToolUse::Tool), never(Never::Auth), "its work is not done twice");
    let for_good = forbidden(Some("oauth_org_not_allowed"), 1);
    assert_eq!(class_of(&for_good, ToolUse::NoTool), never(Never::Auth));
    assert_eq!(class_of(&forbidden(None, 484), ToolUse::NoTool), never(Never::Auth));
    let refused = error(Some(401), "API Error: 401");
    assert_eq!(class_of(&refused, ToolUse::NoTool), never(Never::Auth));
}

#[test]
fn a_stream_that_died_is_a_lost_connection_by_the_reason_that_the_cli_gives() {
    let died = |reason: Option<&str>, word: Option<&str>, text: &str| ClaudeResult {
        terminal_reason: reason.map(str::to_owned),
        api_error: word.map(str::to_owned),
        ..error(None, text)
    };
    for (result, expected) in [
        (died(Some("api_error"), None, "anything at all"), transient(Transient::Connection)),
        (died(Some("api_error"), Some("unknown"), ""), transient(Transient::Connection)),
        (died(Some("api_error"), Some("overloaded"), ""), transient(Transient::Server)),
        (died(Some("api_error"), Some("rate_limit"), ""), transient(Transient::RateLimit)),
        (died(Some("api_error"), Some("invalid_request"), ""), never(Never::Failed)),
        (
            died(None, None, "API Error: The response stopped arriving before it was complete"),
            transient(Transient::Connection),
        ),
        (died(Some("completed"), None, "the response stopped arriving"), never(Never::Failed)),
    ] {
        assert_eq!(class(Verdict::Failed, Some(&result), ToolUse::Tool), expected, "{result:?}");
    }
}

#[test]
fn ends_look_the_same_by_what_went_wrong_and_only_of_an_agent_that_has_done_nothing() {
    let sameness = |verdict, result: Option<&ClaudeResult>, tool_use| {
        let completed = completed(verdict, EndReason::Exit, 1);
        let evidence = Evidence {
            completed: &completed,
            result,
            last_retry: None,
            usage_limit: None,
            dead_end: None,
            want: None,
            tool_use,
        };
        AttemptEnd::of(&evidence).sameness
    };
    let failed = |text: &str| sameness(Verdict::Failed, Some(&error(None, text)), ToolUse::NoTool);
    assert!(failed("request 17 went wrong").is_some());
    assert_eq!(failed("request 17 went wrong"), failed("request 18 went wrong"));
    assert_ne!(failed("request 17 went wrong"), failed("something else"));
    assert_eq!(sameness(Verdict::Failed, Some(&error(None, "x")), ToolUse::Tool), None);
    assert_eq!(sameness(Verdict::Failed, None, ToolUse::NotBegun), None, "another program");
    assert!(sameness(Verdict::NoResult, None, ToolUse::NotBegun).is_some());
    assert_eq!(sameness(Verdict::Succeeded, None, ToolUse::NoTool), None);
    let many_turns = ClaudeResult { num_turns: Some(3), ..error(None, "x") };
    assert_eq!(sameness(Verdict::Failed, Some(&many_turns), ToolUse::NoTool), None);
}

#[test]
fn what_is_wanting_is_asked_for_soon_at_first_and_once_a_minute_later() {
    let wait_ms = |waited_ms: u64| {
        let now_ms = 10_000_000;
        unavailable_until_ms(now_ms, now_ms - waited_ms, 7, 3) - now_ms
    };
    assert!((1_000..=1_500).contains(&wait_ms(0)));
    assert!((8_000..=12_000).contains(&wait_ms(8_000)));
    assert!((60_000..=90_000).contains(&wait_ms(1_000_000)));
}
