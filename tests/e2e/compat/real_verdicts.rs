//! Real Claude tasks whose end does not say by itself what it means: what a user reads about it, with each
//! of the tested versions.

use cc_tests::{
    Options, Supervisor, Transcript,
    batches::{classes, plan, run as run_batch},
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, stream, verdict, warnings},
    },
};
use serde_json::{Value, json};

const SCHEMA: &str =
    r#"{"type":"object","properties":{"answer":{"type":"integer"}},"required":["answer"]}"#;

fn run(params: &Value) -> Transcript {
    let cli = RealCli::start();
    let transcript = Supervisor::start(&cli.options(Options::new())).connect().run_to_end(params);
    assert_nothing_left(&transcript);
    transcript
}

/// Runs each of these prompts, one after another.
fn run_all<const N: usize>(prompts: [&str; N]) -> [Transcript; N] {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let mut client = supervisor.connect();
    prompts.map(|prompt| {
        let transcript = client.run_to_end(&json!({"prompt": prompt}));
        assert_nothing_left(&transcript);
        transcript
    })
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_error_that_the_cli_does_not_try_again_ends_the_task_with_its_status() {
    let ends = run_all(["status: 400", "status: 403", "status: 404"]);
    for (transcript, (status, expected)) in
        ends.iter().zip([(400, "failed"), (403, "auth"), (404, "failed")])
    {
        assert_eq!(result(transcript)["api_error_status"], status);
        assert_eq!(verdict(transcript), expected, "{status}: {}", transcript.completed());
        assert_eq!(transcript.params_of("task.retrying").count(), 0, "{status}");
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_error_that_stays_ends_the_task_with_its_status_after_the_retries() {
    let ends = run_all(["status: 401", "status: 500", "status: 529"]);
    for (transcript, (status, expected)) in
        ends.iter().zip([(401, "auth"), (500, "failed"), (529, "failed")])
    {
        assert_eq!(result(transcript)["api_error_status"], status);
        assert_eq!(verdict(transcript), expected, "{status}: {}", transcript.completed());
        assert_eq!(transcript.params_of("task.retrying").next().unwrap()["error_status"], status);
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_error_that_passes_costs_nothing_but_the_retry() {
    let ends = run_all([
        "refuse 1 times with 401: at last",
        "refuse 1 times with 500: at last",
        "refuse 1 times with 529: at last",
    ]);
    for (transcript, status) in ends.iter().zip([401, 500, 529]) {
        assert_eq!(transcript.params_of("task.retrying").next().unwrap()["error_status"], status);
        assert_eq!(verdict(transcript), "succeeded", "{status}: {}", transcript.completed());
        assert_eq!(result(transcript)["result"], "at last");
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_stream_that_dies_once_costs_nothing() {
    let [transcript] = run_all(["drop connection once: whole"]);
    assert_eq!(verdict(&transcript), "succeeded", "{}", transcript.stdout());
    assert_eq!(result(&transcript)["result"], "whole");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_api_that_takes_a_request_and_never_answers_is_silence() {
    let transcript = run(&json!({"prompt": "hang", "idle_timeout": 5}));
    assert_eq!(transcript.completed()["reason"], "idle_timeout");
    assert_eq!(verdict(&transcript), "timed_out");
    assert_eq!(stream(&transcript)[0]["subtype"], "init");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_of_a_megabyte_arrives_whole_and_is_marked_where_it_is_cut() {
    let transcript = run(&json!({"prompt": "long-line: 1000000"}));
    let last = stream(&transcript).pop().unwrap();
    assert_eq!(last["result"].as_str().unwrap().len(), 1_000_000, "the output has all of it");
    assert_eq!(result(&transcript)["result_truncated"], true);
    assert_eq!(result(&transcript)["result"].as_str().unwrap().len(), 256 * 1024);
    assert_eq!(verdict(&transcript), "succeeded");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_unknown_model_is_told_in_the_clis_words() {
    let transcript = run(&json!({
        "prompt": "error 404 not_found_error: model: no-such-model", "model": "no-such-model",
    }));
    assert_eq!(verdict(&transcript), "failed");
    let words = result(&transcript)["result"].as_str().unwrap();
    assert!(words.contains("no-such-model"), "{words}");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_refusal_of_the_model_is_no_success() {
    let transcript = run(&json!({"prompt": "stop with: refusal"}));
    assert_ne!(verdict(&transcript), "succeeded");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_cli_that_cannot_begin_is_no_success() {
    // 2.1.197 says nothing at all with such a proxy; 2.1.332 says what is wrong.
    let env = json!({"HTTPS_PROXY": "not a url"});
    let transcript = run(&json!({"prompt": "say: hello", "env": env, "timeout": 20}));
    assert_ne!(verdict(&transcript), "succeeded", "{}", transcript.stdout());
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn extra_usage_bridges_a_limit_and_the_answer_counts() {
    let [transcript] = run_all(["overage"]);
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["result"], "The answer is 4.");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn extra_usage_is_no_limit_and_is_mentioned() {
    let [transcript] = run_all(["overage"]);
    assert_eq!(transcript.params_of("error.rate_limit_exceeded").count(), 0);
    assert_eq!(warnings(&transcript), ["extra_usage"]);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_task_whose_only_tool_was_denied_has_not_done_its_work() {
    let transcript = run(&json!({"prompt": "bash: touch mine", "permission_mode": "dontAsk"}));
    assert_eq!(verdict(&transcript), "denied", "{}", transcript.completed());
    assert_eq!(result(&transcript)["permission_denials"], json!(["Bash"]));
    assert!(warnings(&transcript).contains(&"permission_denied"));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn mcp_servers_that_did_not_start_are_named_in_a_warning() {
    let servers = json!({"mcpServers": {
        "tickets": {"command": "sh", "args": ["-c", "echo no database >&2; exit 3"]},
        "absent": {"command": "/nonexistent/server", "args": []},
    }});
    let transcript = run(&json!({
        "prompt": "say: done",
        "extra_args": ["--mcp-config", servers.to_string(), "--strict-mcp-config"],
    }));
    assert_eq!(verdict(&transcript), "succeeded");
    let told = transcript.completed()["warnings"].to_string();
    assert!(warnings(&transcript).iter().all(|kind| *kind == "mcp_server"), "{told}");
    for name in ["tickets", "absent"] {
        assert!(told.contains(name), "{told}");
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_to_a_schema_comes_as_what_it_is() {
    let transcript = run(&json!({
        "prompt": r#"tool: StructuredOutput {"answer": 4}"#,
        "extra_args": ["--json-schema", SCHEMA],
    }));
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["structured_output"], json!({"answer": 4}));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_that_is_cut_is_mentioned() {
    let transcript = run(&json!({"prompt": "long-line: 1000000"}));
    assert_eq!(warnings(&transcript), ["result_truncated"]);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn no_credits_is_the_accounts_end_and_not_the_tasks() {
    let prompt = "error 400 invalid_request_error: Your credit balance is too low to access the \
                  Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
    let transcript = run(&json!({"prompt": prompt, "env": {"ANTHROPIC_API_KEY": "given"}}));
    assert_eq!(verdict(&transcript), "account", "{}", transcript.completed());
    assert_eq!(result(&transcript)["api_error"], "billing_error");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_loop_that_is_broken_off_is_no_success_and_says_why() {
    let transcript = run(&json!({
        "prompt": "bash: true", "max_turns": 1, "extra_args": ["--dangerously-skip-permissions"],
    }));
    assert_ne!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["terminal_reason"], "max_turns");
    let errors = result(&transcript)["errors"].to_string();
    assert!(errors.contains("maximum number of turns"), "{errors}");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_command_that_takes_no_turn_has_not_done_any_work() {
    // Both versions answer with zero turns and an empty result.
    let transcript = run(&json!({"prompt": "/compact"}));
    assert_eq!(verdict(&transcript), "incomplete", "{}", transcript.stdout());
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_session_that_cannot_be_resumed_is_named() {
    let session = "00000000-0000-4000-8000-000000000000";
    let transcript = run(&json!({"prompt": "say: hi", "resume_claude_session": session}));
    assert_eq!(verdict(&transcript), "failed");
    let errors = result(&transcript)["errors"].to_string();
    assert!(errors.contains(session), "{errors}");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn settings_that_are_no_json_are_named_in_the_row() {
    let cli = RealCli::start();
    cli.write_settings(r#"{"broken": "#);
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let over = run_batch(&supervisor, &plan([json!({"prompt": "say: hi", "retries": 0})]));
    assert_ne!(over.verdicts(), ["succeeded"]);
    let row = over.rows[0].to_string();
    assert!(row.contains(".claude.json"), "{row}");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_resumed_session_costs_what_it_adds_and_no_more() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let first = run_batch(&supervisor, &plan([json!({"prompt": "say: one"})]));
    let session = first.rows[0]["claude_session_id"].as_str().unwrap();
    let again = json!({"prompt": "say: two", "resume_claude_session": session});
    let second = run_batch(&supervisor, &plan([again]));
    let cost = |row: &Value| row["cost_usd"].as_f64().unwrap();
    let (first, second) = (cost(&first.rows[0]), cost(&second.rows[0]));
    // Both answers have the same number of tokens. 2.1.332 counts the past into the total, 2.1.197 does not.
    assert!((second / first - 1.0).abs() < 0.1, "{first} USD, then {second} USD");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn the_version_and_the_login_of_the_cli_are_told() {
    let transcript = run(&json!({"prompt": "say: hello"}));
    let init = stream(&transcript).remove(0);
    let claude = &transcript.completed()["claude"];
    assert_eq!(claude["cli_version"], init["claude_code_version"]);
    assert_eq!(claude["session_id"], init["session_id"]);
    assert_eq!(claude["api_key_source"], "none");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_stream_that_dies_every_time_in_the_middle_is_tried_again_by_a_fresh_process() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let task = json!({"prompt": "drop connection after: 20", "retries": 1});
    let over = run_batch(&supervisor, &plan([task]));
    assert_eq!(over.verdicts(), ["failed"], "{:#?}", over.rows);
    assert_eq!(classes(&over.rows[0]), [Some("transient"), Some("transient")], "{}", over.rows[0]);
}
