//! The typed verdict of a Claude task, played by an agent that fails in every reported way. (The real
//! CLI has suites of its own: `compat::real_claude` and `compat::stress_report`.)

use cc_tests::{
    Options, Supervisor, Transcript, binaries::misbehave, cgroup::Containment, processes,
    unique_tag, with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    a_result_without_an_exit_is_kept_and_the_tree_is_killed,
    an_answer_is_a_success_with_its_typed_result,
);

fn run_with(options: &Options, params: &Value) -> Transcript {
    Supervisor::start(options).connect().run_to_end(params)
}

fn run(prompt: &str) -> Transcript {
    run_with(&Options::new().fixture_agent().flag("--grace", 1), &json!({ "prompt": prompt }))
}

fn verdict(transcript: &Transcript) -> &str {
    transcript.completed()["verdict"].as_str().unwrap()
}

fn results(transcript: &Transcript) -> Vec<&Value> {
    transcript.params_of("task.result").collect()
}

fn an_answer_is_a_success_with_its_typed_result(containment: &Containment) {
    let options = containment.options().fixture_agent();
    let transcript = run_with(&options, &json!({"prompt": "say: 4"}));
    assert_eq!(verdict(&transcript), "succeeded");
    let expected = json!({
        "is_error": false, "result": "4", "result_truncated": false, "api_error_status": null,
        "claude_session_id": "00000000-0000-4000-8000-000000000001", "num_turns": 1,
        "total_cost_usd": 0.25, "usage": {"output_tokens": 7}, "model": "claude-test-1",
        "terminal_reason": "completed", "subtype": "success",
        "task_id": transcript.answer["task_id"], "seq": transcript.events.len() - 1,
    });
    assert_eq!(results(&transcript), [&expected]);
    // The stream itself passes through untouched: three lines of JSON.
    let lines: Vec<Value> =
        transcript.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["permission_denials"], json!([]));
}

fn a_result_without_an_exit_is_kept_and_the_tree_is_killed(containment: &Containment) {
    let options = containment.options().fixture_agent().flag("--linger", 1).flag("--grace", 1);
    let transcript = run_with(&options, &json!({"prompt": "result without exit: the answer"}));
    assert_eq!(transcript.completed()["reason"], "lingered");
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(results(&transcript)[0]["result"], "the answer");
    assert_eq!(transcript.completed()["exit_code"], 0);
}

#[test]
fn exit_code_0_without_a_result_is_no_success() {
    let transcript = run("no result: ");
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(verdict(&transcript), "no_result");
    assert!(results(&transcript).is_empty());
    assert_eq!(verdict(&run("no result and fail: ")), "no_result");
}

#[test]
fn an_error_in_the_result_is_a_failure_whatever_the_exit_code() {
    let transcript = run("error: it broke");
    assert_eq!(verdict(&transcript), "failed");
    assert_eq!(results(&transcript)[0]["is_error"], true);
    assert_eq!(results(&transcript)[0]["result"], "it broke");
    assert_eq!(verdict(&run("error with exit 0: it broke")), "failed");
}

#[test]
fn refused_credentials_are_told_with_the_first_retry() {
    let transcript = run("status 401: ");
    assert_eq!(verdict(&transcript), "auth");
    let retry = transcript.params_of("task.retrying").next().unwrap();
    assert_eq!(retry["attempt"], 1);
    assert_eq!(retry["max_retries"], 10);
    assert_eq!(retry["retry_delay_ms"], 500);
    assert_eq!(retry["error_status"], 401);
    assert_eq!(retry["error"], "authentication_failed");
    assert_eq!(results(&transcript)[0]["api_error_status"], 401);
}

#[test]
fn a_rate_limit_is_a_verdict_of_its_own() {
    assert_eq!(verdict(&run("status 429: ")), "rate_limited");
}

#[test]
fn a_usage_limit_is_told_in_whatever_form_the_agent_has_for_it() {
    let texts = ["limit in words for seconds: 90", "limit after a bar for seconds: 90"];
    for prompt in ["limit for seconds: 90"].into_iter().chain(texts) {
        let transcript = run(prompt);
        assert_eq!(verdict(&transcript), "rate_limited", "{prompt}");
        let told: Vec<&Value> = transcript.params_of("error.rate_limit_exceeded").collect();
        assert!(!told.is_empty(), "{prompt}");
        let has_end = told.iter().any(|params| params["resets_at"].is_u64());
        assert_eq!(has_end, !texts.contains(&prompt), "{prompt}: {told:?}");
    }
}

#[test]
fn the_apis_own_trouble_and_limits_of_the_cli_are_failures() {
    for (prompt, status) in [
        ("status 500: ", json!(500)),
        ("status 529: ", json!(529)),
        ("connection error: ", Value::Null),
        ("max turns: ", Value::Null),
    ] {
        let transcript = run(prompt);
        assert_eq!(verdict(&transcript), "failed", "{prompt}");
        assert_eq!(results(&transcript)[0]["api_error_status"], status, "{prompt}");
    }
    assert_eq!(verdict(&run("no result after a tool: ")), "no_result");
}

#[test]
fn of_several_results_the_last_one_counts() {
    let transcript = run("two results: the second");
    assert_eq!(verdict(&transcript), "succeeded");
    let results = results(&transcript);
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["result"], "the second");
}

#[test]
fn ordinary_text_that_speaks_of_limits_raises_nothing() {
    let transcript = run("talk about limits: ");
    assert_eq!(verdict(&transcript), "succeeded");
    for method in ["error.rate_limit_exceeded", "error.token_limit_exceeded", "process.error"] {
        assert_eq!(transcript.params_of(method).count(), 0, "{method}");
    }
}

#[test]
fn an_agent_that_says_nothing_at_all_meets_the_first_output_clock() {
    // A script, for the arguments that the server adds are none that sleep understands.
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("agent");
    std::fs::write(&script, "exec sleep 100").unwrap();
    let options = Options::new()
        .flag("--agent", format!("sh {}", script.display()))
        .flag("--first-output-timeout", 1)
        .flag("--grace", 1);
    let transcript = run_with(&options, &json!({"prompt": "anything"}));
    assert_eq!(transcript.completed()["reason"], "idle_timeout");
    assert_eq!(verdict(&transcript), "timed_out");
}

#[test]
fn an_agent_that_falls_silent_meets_the_silence_clock() {
    let options = Options::new().fixture_agent().flag("--grace", 1);
    let params = json!({"prompt": "silence: ", "idle_timeout": 1});
    let transcript = run_with(&options, &params);
    assert_eq!(transcript.completed()["reason"], "idle_timeout");
    assert_eq!(verdict(&transcript), "timed_out");
}

#[test]
fn a_canceled_claude_task_is_canceled_and_not_without_result() {
    let supervisor = Supervisor::start(&Options::new().fixture_agent().flag("--grace", 1));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"prompt": "retry without end: "})).unwrap();
    let events = client.recv_until_method("task.retrying");
    client.control("CANCEL").unwrap();
    let transcript = client.collect_after(answer, events);
    assert_eq!(verdict(&transcript), "canceled");
}

#[test]
fn a_missing_agent_is_a_spawn_failure_that_names_it() {
    let supervisor = Supervisor::start(&Options::new().flag("--agent", "no-such-agent"));
    let error = supervisor.connect().execute(&json!({"prompt": "hello"})).unwrap_err();
    assert_eq!(error["code"], -32017);
    assert!(error.to_string().contains("no-such-agent"), "{error}");
}

#[test]
fn the_options_of_a_prompt_become_arguments_and_the_prompt_does_not() {
    let options = Options::new().fixture_agent();
    let params = json!({
        "prompt": "arguments: a secret", "model": "a-model", "allowed_tools": ["Bash", "Read"],
        "permission_mode": "plan", "append_system_prompt": "be brief", "max_turns": 3,
        "resume_claude_session": "a-session", "extra_args": ["--extra", "x y"],
    });
    let transcript = run_with(&options, &params);
    let arguments = results(&transcript)[0]["result"].as_str().unwrap().to_owned();
    let arguments: Vec<&str> = arguments.split('\u{1f}').collect();
    assert_eq!(&arguments[..2], [misbehave().as_str(), "agent"]);
    for pair in [
        ["--output-format", "stream-json"],
        ["--model", "a-model"],
        ["--allowedTools", "Bash"],
        ["Bash", "Read"],
        ["--permission-mode", "plan"],
        ["--append-system-prompt", "be brief"],
        ["--max-turns", "3"],
        ["--resume=a-session", "--extra"],
        ["--extra", "x y"],
    ] {
        assert!(arguments.windows(2).any(|window| window == pair), "{pair:?} in {arguments:?}");
    }
    assert!(arguments.contains(&"-p") && arguments.contains(&"--verbose"));
    assert!(!arguments.iter().any(|argument| argument.contains("secret")), "{arguments:?}");
}

/// The old clients build the command line themselves: the verdict is typed all the same.
#[test]
fn a_command_line_of_an_old_client_that_runs_claude_is_observed() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let claude = supervisor.scratch().join("claude");
    std::os::unix::fs::symlink(misbehave(), &claude).unwrap();
    let path = supervisor.scratch().display().to_string();
    let command = format!("PATH={path}:$PATH; printf 'say: observed' | claude agent");
    let params = json!({"argv": ["sh", "-c", command]});
    // A shell that hides the name is plain output, and the exit code decides.
    assert_eq!(verdict(&client.run_to_end(&params)), "succeeded");
    let argv = json!([claude, "agent"]);
    // Standard input is empty: the agent says nothing but its answer to an empty prompt.
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(results(&transcript).len(), 1);
}

#[test]
fn a_claude_task_leaves_nothing_behind_either() {
    let tag = unique_tag("agent-daemon");
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("agent");
    let text = format!(
        "#!/bin/sh\n{} daemon holding {tag}\nshift $#\nexec {} agent\n",
        misbehave(),
        misbehave()
    );
    std::fs::write(&script, text).unwrap();
    let options = Options::new().flag("--agent", format!("sh {}", script.display()));
    let supervisor = Supervisor::start(&options);
    let transcript = supervisor.connect().run_to_end(&json!({"prompt": "say: done"}));
    assert!(processes::survivors(&tag).is_empty());
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(transcript.completed()["killed_leftovers"], 1);
}
