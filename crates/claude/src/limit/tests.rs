use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

fn s(instant: &str) -> u64 {
    let at: Timestamp = instant.parse().unwrap();
    u64::try_from(at.as_second()).unwrap()
}

/// Each text is read at `now` in a zone that it may not name, and means the instant.
#[track_caller]
fn check(now: &str, zone: &str, table: &[(&str, Option<&str>)]) {
    for (text, expected) in table {
        let ends = ends_at_s(text, s(now), zone);
        let shown = ends.map(|ends| Timestamp::from_second(ends as i64).unwrap().to_string());
        assert_eq!(ends, expected.map(s), "{text:?} was read as {shown:?}");
    }
}

#[test]
fn what_the_cli_says_in_its_versions_is_understood() {
    check(
        "2026-03-02T10:00:00Z",
        "Europe/Berlin",
        &[
            ("Claude AI usage limit reached|1790000000", Some("2026-09-21T14:13:20Z")),
            ("Claude AI usage limit reached|1790000000000", Some("2026-09-21T14:13:20Z")),
            ("You've hit your session limit · resets 5:13am (UTC)", Some("2026-03-03T05:13:00Z")),
            ("You've hit your limit · resets 2pm (Asia/Shanghai)", Some("2026-03-03T06:00:00Z")),
            ("Your limit will reset at 1pm (Etc/GMT+5).", Some("2026-03-02T18:00:00Z")),
            ("usage limit reached. Your limit will reset at 12am.", Some("2026-03-02T23:00:00Z")),
            ("Weekly limit reached ∙ resets 7pm", Some("2026-03-02T18:00:00Z")),
            ("resets Mar 3 at 5:30am (America/New_York)", Some("2026-03-03T10:30:00Z")),
            ("Resets Aug 17, 3pm (PDT)", Some("2026-08-17T22:00:00Z")),
            ("resets Mar 6, 1pm (Asia/Kolkata)", Some("2026-03-06T07:30:00Z")),
            ("Please try again in 5 minutes.", Some("2026-03-02T10:05:00Z")),
            ("You're out of extra usage · resets Mar 6, 1pm (UTC)", Some("2026-03-06T13:00:00Z")),
            ("Too many tokens per day, please wait before trying again.", None),
            ("Please wait 40 seconds", Some("2026-03-02T10:00:40Z")),
            ("Opus is available again at 3pm (UTC)", Some("2026-03-02T15:00:00Z")),
            ("Your quota refreshes in 2 weeks", Some("2026-03-16T10:00:00Z")),
        ],
    );
}

#[test]
fn other_ways_to_write_a_time_are_understood_too() {
    check(
        "2026-03-02T10:00:00Z",
        "UTC",
        &[
            ("resets in 2h 15m", Some("2026-03-02T12:15:00Z")),
            ("resets in 1 day and 3 hours", Some("2026-03-03T13:00:00Z")),
            ("try again in about an hour", Some("2026-03-02T11:00:00Z")),
            ("Retry after 30 seconds", Some("2026-03-02T10:00:30Z")),
            ("resets in a moment", None),
            ("resets 14:30", Some("2026-03-02T14:30:00Z")),
            ("resets at 12:00:30 PM", Some("2026-03-02T12:00:30Z")),
            ("resets at 2 p.m. (GMT+8)", Some("2026-03-03T06:00:00Z")),
            ("resets 9pm (GMT+5:30)", Some("2026-03-02T15:30:00Z")),
            ("resets 9pm (UTC-3)", Some("2026-03-03T00:00:00Z")),
            ("resets tomorrow at 9am", Some("2026-03-03T09:00:00Z")),
            ("resets Thursday at 9am", Some("2026-03-05T09:00:00Z")),
            ("resets Mon 6am", Some("2026-03-09T06:00:00Z")),
            ("resets March 3rd, 2027 at noon", Some("2027-03-03T12:00:00Z")),
            ("resets 3 Mar 8pm", Some("2026-03-03T20:00:00Z")),
            ("resets Mar 9", Some("2026-03-09T00:00:00Z")),
            ("resets at 2026-03-03T05:30:00Z.", Some("2026-03-03T05:30:00Z")),
            ("resets 2026-03-03 05:30", Some("2026-03-03T05:30:00Z")),
            ("resets at 1790000000", Some("2026-09-21T14:13:20Z")),
            ("It will not reset. It resets 11am", Some("2026-03-02T11:00:00Z")),
        ],
    );
}

#[test]
fn nonsense_has_no_time() {
    check(
        "2026-03-02T10:00:00Z",
        "UTC",
        &[
            ("", None),
            ("rate_limit", None),
            ("API Error: Request rejected (429)", None),
            ("a|b|17", None),
            ("|99999999999999999999999999", None),
            ("resets", None),
            ("resets soon", None),
            ("resets 13pm", None),
            ("resets 0am", None),
            ("resets 25:00", None),
            ("resets 5", None),
            ("resets Feb 30 at 5pm", None),
            ("resets Mar", None),
            ("resets 2pm (Mars/Olympus)", None),
            ("resets 2pm (", None),
            ("resets 9pm (GMT+99)", None),
            ("try again in 5 parsecs", None),
            ("try again in 99999999999999999999 hours", None),
            ("try again in 400 days", None),
            ("the words 2pm (UTC) alone", None),
        ],
    );
    assert_eq!(ends_at_s("resets 2pm", s("2026-03-02T10:00:00Z"), "No/Where"), None);
    assert_eq!(ends_at_s("resets 2pm", u64::MAX, "UTC"), None);
}

#[test]
fn a_time_of_day_that_has_passed_is_tomorrows_but_not_if_it_has_only_just() {
    let table = |expected| [("resets 2pm", Some(expected))];
    check("2026-03-02T13:59:59Z", "UTC", &table("2026-03-02T14:00:00Z"));
    check("2026-03-02T14:01:01Z", "UTC", &table("2026-03-02T14:00:00Z"));
    check("2026-03-02T17:00:00Z", "UTC", &table("2026-03-02T14:00:00Z"));
    check("2026-03-02T17:00:01Z", "UTC", &table("2026-03-03T14:00:00Z"));
    // After midnight it may have been yesterday's.
    let late = |expected| [("resets 11:50pm", Some(expected))];
    check("2026-03-03T00:10:00Z", "UTC", &late("2026-03-02T23:50:00Z"));
    check("2026-03-03T07:00:00Z", "UTC", &late("2026-03-03T23:50:00Z"));
    // What day it is depends on the zone of the text and not on ours.
    check(
        "2026-03-02T20:00:00Z",
        "UTC",
        &[
            ("resets 2am (Asia/Shanghai)", Some("2026-03-02T18:00:00Z")),
            ("resets 5am (Asia/Shanghai)", Some("2026-03-02T21:00:00Z")),
        ],
    );
}

#[test]
fn a_date_without_a_year_is_the_nearest() {
    check(
        "2026-12-30T10:00:00Z",
        "UTC",
        &[
            ("resets Jan 2 at 3pm", Some("2027-01-02T15:00:00Z")),
            ("resets Dec 30 at 9am", Some("2026-12-30T09:00:00Z")),
            ("resets Dec 31 at 9am", Some("2026-12-31T09:00:00Z")),
        ],
    );
    check(
        "2027-01-01T00:30:00Z",
        "UTC",
        &[("resets Dec 31 at 11pm", Some("2026-12-31T23:00:00Z"))],
    );
    // A leap day belongs to a year that has one.
    check("2028-02-27T00:00:00Z", "UTC", &[("resets Feb 29 at 1am", Some("2028-02-29T01:00:00Z"))]);
}

#[test]
fn changes_of_the_clocks_are_those_of_the_zone() {
    // Forward on 2026-03-08: 2:30 is not there, and is counted as if it were 3:30 of the new time.
    check(
        "2026-03-08T05:00:00Z",
        "America/New_York",
        &[
            ("resets 2:30am", Some("2026-03-08T07:30:00Z")),
            ("resets 1:30am", Some("2026-03-08T06:30:00Z")),
            ("resets 3:30am", Some("2026-03-08T07:30:00Z")),
        ],
    );
    // Back on 2026-11-01: 1:30 is there twice.
    let table = |expected| [("resets 1:30am (America/New_York)", Some(expected))];
    check("2026-11-01T05:00:00Z", "UTC", &table("2026-11-01T05:30:00Z"));
    check("2026-11-01T05:45:00Z", "UTC", &table("2026-11-01T06:30:00Z"));
    check("2026-11-01T06:45:00Z", "UTC", &table("2026-11-01T06:30:00Z"));
    check("2026-11-01T09:45:00Z", "UTC", &table("2026-11-02T06:30:00Z"));
    // A day before, the same time of day is an hour further away.
    check(
        "2026-10-31T06:00:00Z",
        "UTC",
        &[("resets tomorrow 3am (EST)", Some("2026-11-01T08:00:00Z"))],
    );
}

#[test]
fn the_events_number_comes_before_any_text() {
    let report = LimitReport {
        message: "resets 2pm (UTC)".to_owned(),
        resets_at_s: Some(1_790_000_000),
        ..LimitReport::default()
    };
    let limit = usage_limit(Some(&report), None, s("2026-03-02T10:00:00Z"), "UTC");
    assert_eq!(limit, Some(UsageLimit { ends_at_s: Some(1_790_000_000), model: None }));
}

#[test]
fn a_usage_limit_is_told_from_too_many_requests() {
    let now_s = s("2026-03-02T10:00:00Z");
    let report =
        |message: &str| LimitReport { message: message.to_owned(), ..LimitReport::default() };
    let error = |text: &str| ClaudeResult {
        is_error: true,
        result: Some(text.to_owned()),
        ..ClaudeResult::default()
    };
    let of = |report: Option<&LimitReport>, result: Option<&ClaudeResult>| {
        usage_limit(report, result, now_s, "UTC")
    };
    assert_eq!(of(None, None), None);
    assert_eq!(of(Some(&report("rate_limit")), None), None);
    let rejected = error("API Error: Request rejected (429) · this is a test");
    assert_eq!(of(Some(&report("rate_limit")), Some(&rejected)), None);
    let unknown = Some(UsageLimit { ends_at_s: None, model: None });
    assert_eq!(of(Some(&report("seven_day")), None), unknown);
    assert_eq!(of(None, Some(&error("You've hit your limit"))), unknown);
    let known = Some(UsageLimit { ends_at_s: Some(s("2026-03-02T14:00:00Z")), model: None });
    assert_eq!(of(Some(&report("five_hour")), Some(&error("limit · resets 2pm"))), known);
    // What the model says in an answer is no limit, whatever words it has.
    let answer = ClaudeResult { is_error: false, ..error("usage limit reached|1790000000") };
    assert_eq!(of(None, Some(&answer)), None);
}

#[test]
fn what_an_agent_writes_of_limits_after_its_work_is_none() {
    let now_s = s("2026-03-02T10:00:00Z");
    let error = |text: &str| ClaudeResult {
        is_error: true,
        result: Some(text.to_owned()),
        num_turns: Some(30),
        ..ClaudeResult::default()
    };
    let of = |result: &ClaudeResult| usage_limit(None, Some(result), now_s, "UTC");
    for text in [
        "The depth limit reached in lexer.rs broke two tests; I stopped.",
        "Two tests fail: 'usage limit exceeded' is what the fixture answers, and it resets at 5pm.",
        "The scheduler waits until 14:30 and then refuses, so the job is red.",
        "Weekly reports are wrong: the quota of 5 rows per day is exceeded.",
    ] {
        assert_eq!(of(&error(text)), None, "{text}");
        let marked = ClaudeResult { api_error_status: Some(429), ..error(text) };
        assert!(of(&marked).is_some(), "{text}");
    }
    for text in [
        "Claude usage limit reached. Your limit will reset at 2pm (UTC).",
        "Claude AI usage limit reached|1790000000",
        "You've hit your session limit \u{b7} resets 2pm (UTC)",
        "You\u{2019}ve hit your limit",
        "5-hour limit reached \u{2219} resets 2pm",
        "Opus weekly limit reached \u{2219} resets 9am",
        "Your limit will reset at 2pm",
        "API Error: Request rejected (429) \u{b7} Number of requests has exceeded your daily limit",
    ] {
        assert!(of(&error(text)).is_some(), "{text}");
    }
}

#[test]
fn the_words_of_a_usage_limit_are_known_and_those_of_other_limits_are_none() {
    for text in [
        "You've hit your Opus limit",
        "You have reached your weekly limit for Claude Opus 4.1",
        "Too many tokens per day, please wait before trying again.",
        "Too many requests per week.",
        "Spending cap reached",
        "Monthly spend limit reached. Raise it in the settings.",
        "You've exceeded your daily quota",
        "5-hour limit reached",
        "You're out of extra usage",
        "You've used up your plan's limit",
    ] {
        assert!(names_usage_limit(text), "{text}");
    }
    for text in [
        "This request would exceed your organization's limit of 40,000 tokens per minute",
        "Too many requests per second",
        "Number of concurrent connections has exceeded your rate limit",
        "Context limit reached · /compact or /clear to continue",
        "Claude's response exceeded the 32000 output token maximum",
        "Turn limit reached",
        "Extra usage is required for 1M context",
        "API Error: Request rejected (429)",
        "Overloaded",
    ] {
        assert!(!names_usage_limit(text), "{text}");
    }
}

#[test]
fn a_limit_is_that_of_one_model_where_its_kind_or_its_clause_says_so() {
    let model = |kind: Option<&str>, text: &str| {
        let report = LimitReport {
            message: "rate_limit".to_owned(),
            kind: kind.map(str::to_owned),
            ..LimitReport::default()
        };
        let result = ClaudeResult {
            is_error: true,
            api_error_status: Some(429),
            result: Some(text.to_owned()),
            ..ClaudeResult::default()
        };
        let limit = usage_limit(Some(&report), Some(&result), s("2026-03-02T10:00:00Z"), "UTC");
        limit.expect(text).model
    };
    let opus = Some("opus".to_owned());
    assert_eq!(model(Some("seven_day_opus"), "You've hit your limit"), opus);
    assert_eq!(model(None, "You've hit your Opus limit"), opus);
    assert_eq!(model(None, "Opus weekly limit reached ∙ resets 9am"), opus);
    assert_eq!(model(None, "You've hit your Opus limit · try Sonnet with /model"), opus);
    assert_eq!(model(Some("seven_day_sonnet"), "limit"), Some("sonnet".to_owned()));
    assert_eq!(model(Some("five_hour"), "You've hit your limit · Opus is away, too"), None);
    assert_eq!(model(None, "You've hit your weekly limit · Sonnet has none left"), None);
}

#[test]
fn a_model_belongs_to_its_family_whatever_it_is_called() {
    for (model, family) in [
        ("opus", "opus"),
        ("claude-opus-4-1-20250805", "opus"),
        ("us.anthropic.claude-sonnet-4-5-v1:0", "sonnet"),
        ("Haiku", "haiku"),
        ("Some-Model", "some-model"),
    ] {
        assert_eq!(model_family(model), family);
    }
}

#[test]
fn trouble_of_the_api_after_a_limit_is_no_limit() {
    let report = LimitReport {
        message: "five_hour".to_owned(),
        resets_at_s: Some(1_790_000_000),
        ..LimitReport::default()
    };
    let result = |status| ClaudeResult {
        is_error: true,
        api_error_status: Some(status),
        result: Some("API Error".to_owned()),
        ..ClaudeResult::default()
    };
    let now_s = s("2026-03-02T10:00:00Z");
    assert_eq!(usage_limit(Some(&report), Some(&result(500)), now_s, "UTC"), None);
    assert!(usage_limit(Some(&report), Some(&result(429)), now_s, "UTC").is_some());
}

proptest! {
    #[test]
    fn no_text_makes_it_fail_or_look_far_ahead_of_what_it_says(
        text in "(resets |try again )?(in |at )?[ a-z0-9:,()/+|.-]{0,30}",
        now_s in 1_000_000_000_u64..4_000_000_000,
    ) {
        let limit = ends_at_s(&text, now_s, "Europe/Berlin");
        prop_assert!(limit.is_none_or(|ends_at_s| ends_at_s > 0));
    }

    #[test]
    fn any_time_of_day_is_within_a_day_and_a_change_of_the_clocks(
        hour in 1_u64..=12,
        minute in 0_u64..60,
        half in prop::sample::select(vec!["am", "pm"]),
        zone in prop::sample::select(vec!["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"]),
        now_s in 1_700_000_000_u64..2_000_000_000,
    ) {
        let text = format!("resets {hour}:{minute:02}{half} ({zone})");
        let ends_at_s = ends_at_s(&text, now_s, "UTC").unwrap();
        prop_assert!(ends_at_s + 3 * 3_600 >= now_s && ends_at_s <= now_s + 25 * 3_600, "{ends_at_s}");
    }
}
