use bytes::Bytes;
use cc_batch::retry::{Class, Never, Transient, Want};
use cc_events::{
    ClaudeResult, ClaudeRetry, Completed, Event, LimitReport, SpawnFailureKind, Verdict,
};
use cc_link::record::{Body, Output, Stream};

use super::{completed, end_of, frames, line};
use crate::{batch::attempt_end::Collector, config::limits};

#[test]
fn an_agent_that_ends_at_once_with_126_or_127_and_without_a_stream_could_not_be_executed() {
    let lacking = |bodies: Vec<Body>, completed| end_of(bodies, completed).lacking();
    let words = || {
        Body::Output(Output {
            stream: Stream::Stderr,
            piece: None,
            truncated: false,
            data: Bytes::from_static(b"claude: 2: exec: node: not found"),
        })
    };
    let gone = |exit_code| completed(Verdict::NoResult, exit_code);
    for exit_code in [126, 127] {
        let program = Some(SpawnFailureKind::Program);
        assert_eq!(lacking(vec![words()], gone(exit_code)), program, "{exit_code}");
        assert_eq!(lacking(Vec::new(), gone(exit_code)), program, "{exit_code}");
    }
    // It disliked something, or was ended.
    for exit_code in [0, 1, 2, 125, 128, -9] {
        assert_eq!(lacking(vec![words()], gone(exit_code)), None, "{exit_code}");
    }
    // It began.
    let begun = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    assert_eq!(lacking(vec![line(begun)], gone(127)), None);
    let late = Completed { duration_ms: limits::AGENT_GONE_MS + 1, ..gone(127) };
    assert_eq!(lacking(Vec::new(), late), None);
    // Not an agent: that is what it exits with.
    assert_eq!(lacking(Vec::new(), completed(Verdict::Failed, 127)), None);
}

#[test]
fn an_agent_whose_script_or_a_part_of_it_is_not_there_could_not_be_executed() {
    let said = |text: &'static str| {
        Body::Output(Output {
            stream: Stream::Stderr,
            piece: None,
            truncated: false,
            data: Bytes::from_static(text.as_bytes()),
        })
    };
    let node = vec![
        said("node:internal/modules/cjs/loader:1228"),
        said("Error: Cannot find module '/opt/claude/cli.js'"),
        said("  code: 'MODULE_NOT_FOUND',"),
        said("  requireStack: []"),
        said("}"),
    ];
    let end = end_of(node, completed(Verdict::NoResult, 1));
    assert_eq!(end.lacking(), Some(SpawnFailureKind::Program));
    let other = end_of(vec![said("error: unknown option")], completed(Verdict::NoResult, 1));
    assert_eq!(other.lacking(), None);
}

#[test]
fn a_worker_that_died_before_it_had_started_its_task_is_waited_for() {
    let died = completed(Verdict::WorkerDied, 125);
    let before = Completed { spawn_failure: Some(SpawnFailureKind::Means), ..died.clone() };
    let end = end_of(Vec::new(), before);
    assert_eq!(end.attempt.class, Class::Unavailable { want: Want::Means });
    assert_eq!(end_of(Vec::new(), died).attempt.class, Class::Lost);
}

fn retry(error_status: u64) -> Body {
    Body::Event(Event::ClaudeRetrying(ClaudeRetry {
        attempt: 1,
        max_retries: 10,
        retry_delay_ms: 500,
        error_status: Some(error_status),
        error: None,
    }))
}

const ANSWER: &str =
    r#"{"type":"assistant","message":{"model":"m","content":[{"type":"text","text":"x"}]}}"#;

#[test]
fn credentials_are_refused_when_the_cli_says_so_several_times_in_a_row() {
    let is_refused = |bodies: Vec<Body>| {
        let mut collector = Collector::new();
        collector.take(&frames(bodies));
        collector.is_auth_refused()
    };
    assert!(is_refused(vec![retry(401), retry(403), retry(401)]));
    assert!(!is_refused(vec![retry(401), retry(401)]), "it may get over it");
    assert!(!is_refused(vec![retry(401), retry(401), retry(529), retry(401)]));
    assert!(!is_refused(vec![retry(401), retry(401), line(ANSWER), retry(401)]));
}

fn limit_event(kind: &str) -> Body {
    Body::Event(Event::RateLimited(LimitReport {
        message: kind.to_owned(),
        resets_at_s: Some(1_790_000_000),
        kind: Some(kind.to_owned()),
        blocked_by: None,
    }))
}

fn limit_line(kind: &str) -> Body {
    line(&format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","rateLimitType":"{kind}","resetsAt":1790000000}}}}"#
    ))
}

#[test]
fn a_limit_is_suspected_as_soon_as_it_is_reported_until_something_is_answered() {
    let mut collector = Collector::new();
    collector.take(&frames(vec![limit_line("seven_day_opus"), limit_event("seven_day_opus")]));
    assert_eq!(collector.suspected_limit(), Some(&Some("opus".to_owned())));
    collector.take(&frames(vec![line(ANSWER)]));
    assert_eq!(collector.suspected_limit(), None);
}

#[test]
fn a_limit_that_was_got_over_is_not_the_reason_of_a_later_failure() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    let failure = |status| {
        Body::Event(Event::ClaudeResult(Box::new(ClaudeResult {
            is_error: true,
            api_error_status: status,
            terminal_reason: Some("api_error".to_owned()),
            result: Some("API Error: no answer".to_owned()),
            ..ClaudeResult::default()
        })))
    };
    let class = |bodies: Vec<Body>| {
        let limit = [line(init), limit_line("five_hour"), limit_event("five_hour")];
        let bodies = limit.into_iter().chain(bodies).collect();
        end_of(bodies, completed(Verdict::Failed, 1)).attempt.class
    };
    let connection = Class::Transient { cause: Transient::Connection };
    assert_eq!(class(vec![line(ANSWER), failure(None)]), connection);
    assert!(matches!(class(vec![failure(None)]), Class::Limit { ends_at_ms: Some(_) }));
}

#[test]
fn a_dead_end_says_what_a_person_must_do_and_a_limit_that_ends_is_none() {
    let result = |text: &str| {
        let result = ClaudeResult {
            is_error: true,
            api_error_status: Some(400),
            result: Some(text.to_owned()),
            ..ClaudeResult::default()
        };
        vec![Body::Event(Event::ClaudeResult(Box::new(result)))]
    };
    let end = end_of(result("Credit balance is too low."), completed(Verdict::Failed, 1));
    assert_eq!(end.attempt.class, Class::Never { cause: Never::Account });
    assert_eq!(end.attempt.verdict, Verdict::Account);
    assert!(end.error.unwrap().starts_with("Credit balance is too low: buy credits"));
    let text = "You are out of credits · resets in 2 hours";
    let end = end_of(result(text), completed(Verdict::Failed, 1));
    assert!(matches!(end.attempt.class, Class::Limit { ends_at_ms: Some(_) }));
}

#[test]
fn what_a_person_must_put_right_is_not_waited_for_whatever_limit_was_met_with_it() {
    let refused = |status, text: &str| {
        let result = ClaudeResult {
            is_error: true,
            api_error_status: status,
            result: Some(text.to_owned()),
            ..ClaudeResult::default()
        };
        let report = LimitReport {
            message: "five_hour".to_owned(),
            resets_at_s: Some(1_790_000_000),
            ..LimitReport::default()
        };
        let report = status.map(|_| Body::Event(Event::RateLimited(report)));
        let result = Body::Event(Event::ClaudeResult(Box::new(result)));
        report.into_iter().chain([result]).collect::<Vec<_>>()
    };
    let text = "Extra usage is required for long context requests.";
    for (status, verdict) in [(Some(429), Verdict::RateLimited), (None, Verdict::Failed)] {
        let end = end_of(refused(status, text), completed(verdict, 1));
        assert_eq!(end.attempt.class, Class::Never { cause: Never::LongContext }, "{status:?}");
        assert_eq!(end.attempt.verdict, Verdict::Account);
        assert!(end.error.unwrap().contains(": name a model without the 1M"));
    }
}

#[test]
fn a_stream_without_a_result_is_tried_again_only_if_no_tool_ran() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    let tool = r#"{"type":"user","message":{"content":[{"type":"tool_result"}]}}"#;
    let class = |lines: &[&str]| {
        let lines = lines.iter().map(|text| line(&format!("{text}\n"))).collect();
        end_of(lines, completed(Verdict::NoResult, 0)).attempt.class
    };
    assert_eq!(class(&[init]), Class::Transient { cause: Transient::NoResult });
    assert_eq!(class(&[init, tool]), Class::Never { cause: Never::NoResultAfterTool });
}

#[test]
fn a_log_without_an_end_is_a_lost_task() {
    let end = Collector::new().end(None, 7);
    assert_eq!((end.attempt.class, end.at_ms), (Class::Lost, 7));
    assert!(end.error.unwrap().contains("may have had effects"));
}
