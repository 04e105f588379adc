//! Refusals of the API, retries and limits.

use super::*;

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
fn an_answer_of_the_model_ends_a_refusal() {
    let retry = fixture!("wrong_key").lines().find(|line| line.contains("api_retry")).unwrap();
    let answer = fixture!("bash_tool").lines().find(|line| line.contains("assistant")).unwrap();
    assert_eq!(observe(retry).summary.refusal, Some(Refusal::Auth));
    assert_eq!(observe(&format!("{retry}\n{answer}\n")).summary.refusal, None);
}
