use bytes::Bytes;
use cc_batch::retry::{Class, Never};
use cc_events::{ClaudeFacts, ClaudeResult, Completed, Event, Verdict, Warning, WarningKind};
use cc_link::record::{Body, Output, Stream};

use super::{completed, end_of, line};
use crate::{batch::attempt_end::words::CUT_RESULT, config::limits};

#[test]
fn of_a_last_line_that_is_too_long_the_error_is_its_end() {
    let long = format!("first\nBEGIN{}THE END\n", "é".repeat(600_000));
    let stderr = |text: &str| {
        let data = Bytes::copy_from_slice(text.as_bytes());
        Body::Output(Output { stream: Stream::Stderr, piece: None, truncated: false, data })
    };
    let end = end_of(vec![stderr(&long)], completed(Verdict::Failed, 1));
    let error = end.error.unwrap();
    assert!(error.starts_with("…é") && error.ends_with("éTHE END"), "{error}");
    let end = end_of(vec![line(&long)], completed(Verdict::NoResult, 1));
    assert!(end.error.unwrap().ends_with("éTHE END"));
    let end = end_of(vec![stderr("before\nshort\n")], completed(Verdict::Failed, 1));
    assert_eq!(end.error.as_deref(), Some("short"));
}

#[test]
fn the_text_of_another_program_is_its_standard_output_without_the_last_newline() {
    let end = end_of(vec![line("a\n"), line("b\n")], completed(Verdict::Succeeded, 0));
    assert_eq!((end.text.as_deref(), end.text_truncated), (Some("a\nb"), false));
    assert!(end.attempt.has_result);
    let long = "x".repeat(limits::BATCH_RESULT_BYTES);
    let pieces =
        long.as_bytes().chunks(60_000).map(|piece| line(std::str::from_utf8(piece).unwrap()));
    let end = end_of(pieces.chain([line("y")]).collect(), completed(Verdict::Succeeded, 0));
    assert_eq!(end.text.unwrap().len(), limits::BATCH_RESULT_BYTES);
    assert!(end.text_truncated);
}

#[test]
fn a_text_fits_a_message_whatever_it_is_made_of() {
    for byte in ["\u{1}", "\"", "x"] {
        let bytes = byte.repeat(limits::BATCH_RESULT_BYTES);
        let pieces = bytes.as_bytes().chunks(60_000);
        let pieces = pieces.map(|piece| line(std::str::from_utf8(piece).unwrap()));
        let end = end_of(pieces.collect(), completed(Verdict::Succeeded, 0));
        let text = end.text.unwrap();
        assert!(serde_json::to_string(&text).unwrap().len() <= 512 * 1024 + 2);
        assert_eq!(end.text_truncated, text.len() < bytes.len());
        assert_eq!(end.text_truncated, byte == "\u{1}");
    }
}

#[test]
fn a_limit_is_kept_in_the_words_of_the_cli() {
    let result = ClaudeResult {
        is_error: true,
        result: Some("You've hit your\nsession limit · resets in 5 minutes".to_owned()),
        ..ClaudeResult::default()
    };
    let bodies = vec![Body::Event(Event::ClaudeResult(Box::new(result)))];
    let end = end_of(bodies, completed(Verdict::Failed, 1));
    assert!(matches!(end.attempt.class, Class::Limit { ends_at_ms: Some(_) }));
    assert_eq!(end.limit.as_deref(), Some("You've hit your session limit · resets in 5 minutes"));
}

fn stderr(text: &str) -> Body {
    let data = Bytes::copy_from_slice(text.as_bytes());
    Body::Output(Output { stream: Stream::Stderr, piece: None, truncated: false, data })
}

fn warned(verdict: Verdict, messages: &[&str]) -> Completed {
    let warning = |message: &&str| Warning {
        kind: WarningKind::PermissionDenied,
        message: (*message).to_owned(),
    };
    let warnings = messages.iter().map(warning).collect();
    Completed { warnings, ..completed(verdict, 0) }
}

#[test]
fn the_error_is_the_most_informative_text_there_is() {
    let result = |result: ClaudeResult| {
        Body::Event(Event::ClaudeResult(Box::new(ClaudeResult { is_error: true, ..result })))
    };
    let text = || ClaudeResult {
        result: Some("Prompt is too long".to_owned()),
        errors: vec!["ignored".to_owned()],
        ..ClaudeResult::default()
    };
    let errors = ClaudeResult {
        result: Some(" \n".to_owned()),
        errors: vec!["cannot read the settings".to_owned(), "line 3".to_owned()],
        startup_failure_reason: Some("config_file_invalid".to_owned()),
        ..ClaudeResult::default()
    };
    let startup = ClaudeResult {
        startup_failure_reason: Some("config_file_invalid".to_owned()),
        ..ClaudeResult::default()
    };
    let api =
        ClaudeResult { api_error: Some("billing_error".to_owned()), ..ClaudeResult::default() };
    let cut = ClaudeResult { result_truncated: true, ..ClaudeResult::default() };
    let words = || stderr("first\n\u{1b}[31mNo conversation found\u{1b}[0m\n\n");
    let failed = || completed(Verdict::Failed, 1);
    let said = |bodies: Vec<Body>, completed: Completed| end_of(bodies, completed).error;
    let server = Completed { error: Some("no end after 2 s".to_owned()), ..failed() };
    for (bodies, completed, expected) in [
        (vec![words(), result(text())], server, Some("no end after 2 s")),
        (vec![words(), result(text())], failed(), Some("Prompt is too long")),
        (vec![words(), result(errors)], failed(), Some("cannot read the settings; line 3")),
        (
            vec![words(), result(startup)],
            failed(),
            Some("the CLI failed at its start: config_file_invalid"),
        ),
        (
            vec![words(), result(api)],
            failed(),
            Some(
                "the API refused: billing_error: see to the payment in the billing settings of the account",
            ),
        ),
        (
            vec![words()],
            warned(Verdict::Denied, &["Bash was denied", "so was Edit"]),
            Some("Bash was denied; so was Edit"),
        ),
        (vec![words(), line("more\n")], failed(), Some("No conversation found")),
        (vec![result(cut)], failed(), Some(CUT_RESULT)),
        (vec![line("unknown option\n")], completed(Verdict::NoResult, 1), Some("unknown option")),
        (vec![line("3 tests failed\n")], failed(), None),
        (vec![words()], completed(Verdict::Succeeded, 0), None),
    ] {
        assert_eq!(said(bodies, completed).as_deref(), expected);
    }
    let init = line("{\"type\":\"system\",\"subtype\":\"init\"}\n");
    let error =
        said(vec![init, line("{\"type\":\"result\",\"res")], completed(Verdict::NoResult, 0));
    assert!(error.unwrap().contains("ends in the middle of a line"));
}

#[test]
fn an_attempt_keeps_its_last_words_and_a_claude_task_says_them_in_words() {
    let end = end_of(
        vec![line("out\n"), stderr("err\n"), line("{\"type\":\"mine\"}\n")],
        completed(Verdict::Failed, 2),
    );
    assert_eq!(end.stdout_tail.as_deref(), Some("out\n{\"type\":\"mine\"}"));
    assert_eq!(end.stderr_tail.as_deref(), Some("err"));
    let init = r#"{"type":"system","subtype":"init","session_id":"s-1"}"#;
    let result = ClaudeResult {
        is_error: true,
        errors: vec!["first".to_owned(), "second".to_owned()],
        ..ClaudeResult::default()
    };
    let bodies = vec![
        line(&format!("{init}\n")),
        line("a wrapper's word\n"),
        Body::Event(Event::ClaudeResult(Box::new(result))),
    ];
    let end = end_of(bodies, completed(Verdict::Failed, 1));
    assert_eq!(end.stdout_tail.as_deref(), Some("a wrapper's word\nfirst\nsecond"));
}

#[test]
fn a_prompt_that_was_ended_keeps_its_conversation() {
    let init = line("{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}\n");
    let end = end_of(vec![init], completed(Verdict::TimedOut, -15));
    assert_eq!(end.claude_session_id.as_deref(), Some("s-1"));
    let facts = ClaudeFacts { session_id: Some("s-2".to_owned()), ..ClaudeFacts::default() };
    let told = Completed { claude: Some(Box::new(facts)), ..completed(Verdict::Canceled, -15) };
    assert_eq!(end_of(Vec::new(), told).claude_session_id.as_deref(), Some("s-2"));
}

#[test]
fn a_strict_batch_makes_a_success_with_warnings_a_failure_that_names_them() {
    let mut end = end_of(Vec::new(), warned(Verdict::Succeeded, &["Bash was denied"]));
    assert_eq!((end.attempt.class, end.error.clone()), (Class::Done, None));
    end.fail_on_warnings();
    assert_eq!(end.attempt.verdict, Verdict::Failed);
    assert_eq!(end.attempt.class, Class::Never { cause: Never::Failed });
    assert!(!end.attempt.has_result);
    assert!(end.error.unwrap().ends_with("strict: Bash was denied"));
    let mut clean = end_of(Vec::new(), completed(Verdict::Succeeded, 0));
    clean.fail_on_warnings();
    assert_eq!(clean.attempt.verdict, Verdict::Succeeded);
    let mut failed = end_of(Vec::new(), warned(Verdict::TimedOut, &["cut off"]));
    failed.fail_on_warnings();
    assert_eq!(failed.attempt.verdict, Verdict::TimedOut);
}
