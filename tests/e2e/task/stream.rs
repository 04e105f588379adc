//! What a Claude task's stream says of what runs, and what a good result does not say: by an agent that prints
//! whatever stream a test wants.

use cc_tests::{Options, Supervisor, Transcript};
use serde_json::{Value, json};

/// Runs a prompt whose agent prints these lines; a number is so many seconds of silence, a text is for ever.
fn run_with(options: &Options, steps: &Value, limits: &Value) -> Transcript {
    let mut params = limits.clone();
    params["prompt"] = json!(format!("stream: {steps}"));
    let options = options.clone().fixture_agent().flag("--grace", 1);
    Supervisor::start(&options).connect().run_to_end(&params)
}

fn run(steps: &Value, limits: &Value) -> Transcript {
    run_with(&Options::new().flag("--linger", 1), steps, limits)
}

fn result(text: &str) -> Value {
    json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 1, "result": text})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "assistant", "message": {"content": [{"type": "tool_use", "id": id, "name": "Bash"}]}})
}

fn tool_result(id: &str) -> Value {
    json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": id}]}})
}

fn background(id: &str, kind: &str) -> Value {
    json!({"type": "system", "subtype": "task_started", "task_id": id, "task_type": kind, "description": "the build"})
}

fn background_over(id: &str) -> Value {
    json!({"type": "system", "subtype": "task_notification", "task_id": id, "status": "completed"})
}

/// The reason, the verdict, and the answer.
fn end(transcript: &Transcript) -> (&str, &str, Option<&str>) {
    let completed = transcript.completed();
    let answer = transcript.params_of("task.result").next();
    (
        completed["reason"].as_str().unwrap(),
        completed["verdict"].as_str().unwrap(),
        answer.and_then(|answer| answer["result"].as_str()),
    )
}

fn warnings(transcript: &Transcript) -> Vec<&str> {
    let warnings = transcript.completed()["warnings"].as_array();
    warnings.into_iter().flatten().map(|warning| warning["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_tool_that_runs_is_no_silence() {
    let steps = json!([tool_use("t"), 2.5, tool_result("t"), result("done")]);
    let transcript = run(&steps, &json!({"idle_timeout": 1}));
    assert_eq!(end(&transcript), ("exit", "succeeded", Some("done")));
}

#[test]
fn silence_after_the_tool_has_ended_is_silence() {
    let steps = json!([tool_use("t"), tool_result("t"), "hang"]);
    let transcript = run(&steps, &json!({"idle_timeout": 1}));
    assert_eq!(end(&transcript), ("idle_timeout", "timed_out", None));
}

#[test]
fn a_wait_before_a_retry_is_no_silence() {
    let retry = json!({"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 2,
        "retry_delay_ms": 2500, "error_status": 529, "error": "overloaded"});
    let transcript = run(&json!([retry, 2.5, result("done")]), &json!({"idle_timeout": 1}));
    assert_eq!(end(&transcript), ("exit", "succeeded", Some("done")));
}

#[test]
fn work_in_the_background_is_no_silence_and_its_turn_is_waited_for() {
    let steps = json!([
        background("b", "local_bash"), result("started"), 2.5, background_over("b"),
        {"type": "system", "subtype": "init", "session_id": "s"}, 2.5, result("built"),
    ]);
    // Neither the clock of silence nor the one after the result may cut the second turn off.
    let transcript = run(&steps, &json!({"idle_timeout": 4}));
    assert_eq!(end(&transcript), ("exit", "succeeded", Some("built")));
    assert!(warnings(&transcript).is_empty());
}

#[test]
fn an_ambient_watcher_is_no_work() {
    let mut watcher = background("w", "local_bash");
    watcher["ambient"] = json!(true);
    let transcript = run(&json!([watcher, result("done"), "hang"]), &json!({}));
    assert_eq!(end(&transcript), ("lingered", "succeeded", Some("done")));
    assert!(warnings(&transcript).is_empty());
}

#[test]
fn a_clock_that_runs_out_after_a_good_result_does_not_make_it_a_timeout_and_says_what_it_cut_off() {
    let steps = json!([background("b", "local_bash"), result("done"), "hang"]);
    let transcript = run(&steps, &json!({"timeout": 2}));
    assert_eq!(end(&transcript), ("lingered", "succeeded", Some("done")));
    assert_eq!(transcript.completed()["exit_code"], 0);
    assert_eq!(warnings(&transcript), ["background_unfinished", "ended_after_result"]);
    let messages = transcript.completed()["warnings"].to_string();
    assert!(messages.contains("the build") && messages.contains("timeout of 2 s"), "{messages}");
}

#[test]
fn a_timeout_without_a_result_is_a_timeout_whatever_runs() {
    let transcript =
        run(&json!([tool_use("t"), "hang"]), &json!({"timeout": 1, "idle_timeout": 60}));
    assert_eq!(end(&transcript), ("timeout", "timed_out", None));
}

#[test]
fn a_helper_that_was_not_waited_for_makes_the_run_incomplete() {
    let transcript = run(&json!([background("a", "local_agent"), result("I wait.")]), &json!({}));
    assert_eq!(end(&transcript).1, "incomplete");
    assert_eq!(warnings(&transcript), ["background_unfinished"]);
    assert!(transcript.completed()["error"].as_str().unwrap().contains("the build"));
}

#[test]
fn denied_tools_are_a_verdict_where_none_ran_and_a_warning_where_others_did() {
    let mut denied = result("I was not allowed to.");
    denied["permission_denials"] =
        json!([{"tool_name": "Write", "tool_use_id": "a", "tool_input": {}}]);
    let none = run(&json!([tool_use("a"), tool_result("a"), denied]), &json!({}));
    assert_eq!(end(&none).1, "denied");
    let steps = json!([tool_use("a"), tool_result("a"), tool_use("b"), tool_result("b"), denied]);
    let others = run(&steps, &json!({}));
    assert_eq!(end(&others).1, "succeeded");
    for transcript in [none, others] {
        assert_eq!(warnings(&transcript), ["permission_denied"]);
        let answer = transcript.params_of("task.result").next().unwrap();
        assert_eq!(answer["permission_denials"], json!(["Write"]));
    }
}

#[test]
fn an_ended_prompt_keeps_its_conversation() {
    let transcript = run(&json!(["hang"]), &json!({"timeout": 1}));
    assert_eq!(end(&transcript).1, "timed_out");
    let facts = &transcript.completed()["claude"];
    assert_eq!(facts["session_id"], "00000000-0000-4000-8000-000000000001");
}

#[test]
fn what_this_version_does_not_know_passes_through_and_is_counted() {
    let strange = json!({"type": "dream", "of": ["sheep"]});
    let transcript = run(&json!([strange, strange, result("done")]), &json!({}));
    assert_eq!(transcript.completed()["claude"]["unknown"], json!({"dream": 2}));
    assert_eq!(transcript.stdout().matches("sheep").count(), 2);
}

#[test]
fn an_answer_that_stands_only_in_structured_output_is_the_answer() {
    let mut empty = result("");
    empty["structured_output"] = json!({"a": [1, 2]});
    let transcript = run(&json!([empty]), &json!({}));
    assert_eq!(end(&transcript), ("exit", "succeeded", Some(r#"{"a":[1,2]}"#)));
    let answer = transcript.params_of("task.result").next().unwrap();
    assert_eq!(answer["structured_output"], json!({"a": [1, 2]}));
}
