//! Real Claude tasks whose end does not say by itself what it means: what a user is told of it, with each
//! of the tested versions.

use cc_tests::{
    Options, Supervisor, Transcript,
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, stream, verdict},
    },
};
use serde_json::{Value, json};

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
fn a_loop_that_is_broken_off_is_no_success() {
    let transcript = run(&json!({
        "prompt": "bash: true", "max_turns": 1, "extra_args": ["--dangerously-skip-permissions"],
    }));
    assert_ne!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["terminal_reason"], "max_turns");
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
    assert_eq!(result(&transcript)["result"], "Extra usage pays for this.");
}
