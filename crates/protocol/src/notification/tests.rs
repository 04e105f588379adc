//! Bytes that clients have always got.

use super::*;

/// Reads a message and writes it again; the numbers of a machine and every optional member pass unchanged.
fn rewritten(text: &str) -> String {
    let message: Message<'_> = serde_json::from_str(text).unwrap();
    serde_json::to_string(&message).unwrap()
}

#[test]
fn a_result_with_every_member_is_written_as_it_was_read() {
    let text = concat!(
        r#"{"jsonrpc":"2.0","method":"task.result","params":{"is_error":true,"result":null,"#,
        r#""result_truncated":true,"api_error_status":18446744073709551615,"#,
        r#""claude_session_id":"c","num_turns":3,"total_cost_usd":0.1234567890123,"#,
        r#""usage":{"a":1,"b":-2,"c":1.5e+300,"d":18446744073709551615},"model":"m","#,
        r#""terminal_reason":"max_turns","subtype":"error_max_turns","model_usage":{"m":{"x":0.5}},"#,
        r#""errors":["e"],"structured_output":{"s":[1,2.5]},"startup_failure_reason":"f","#,
        r#""api_error":"billing_error","permission_denials":["Write"],"#,
        r#""parts":[{"origin":null,"is_error":false,"result":"r","num_turns":1}],"#,
        r#""task_id":"t","seq":18446744073709551615}}"#
    );
    assert_eq!(rewritten(text), text);
}

#[test]
fn a_result_with_nothing_but_what_is_always_there_has_nulls_and_leaves_out_the_rest() {
    let text = concat!(
        r#"{"jsonrpc":"2.0","method":"task.result","params":{"is_error":false,"result":null,"#,
        r#""result_truncated":false,"api_error_status":null,"claude_session_id":null,"#,
        r#""num_turns":null,"total_cost_usd":null,"usage":null,"model":null,"#,
        r#""terminal_reason":null,"subtype":null,"task_id":"t","seq":1}}"#
    );
    assert_eq!(rewritten(text), text);
    // An older server leaves out what is null here.
    let short = concat!(
        r#"{"jsonrpc":"2.0","method":"task.result","params":{"is_error":false,"#,
        r#""result_truncated":false,"task_id":"t","seq":1}}"#
    );
    assert_eq!(rewritten(short), text);
}

#[test]
fn a_retry_is_written_as_it_was_read() {
    let text = concat!(
        r#"{"jsonrpc":"2.0","method":"task.retrying","params":{"attempt":1,"max_retries":10,"#,
        r#""retry_delay_ms":593,"error_status":null,"error":"rate_limit","task_id":"t","seq":4}}"#
    );
    assert_eq!(rewritten(text), text);
}
